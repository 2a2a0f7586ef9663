import Files
import JSON
import Models
import PEFTKernel
import Registry

/// Between sites and the module names of a PEFT config.
enum PEFTTargets {
  /// The sites that the config chooses, by PEFT's rules.
  static func sites(
    _ folder: AdapterFolder, _ model: any LanguageModel, fused: [String], _ notes: inout [String]
  ) throws(FileError) -> [Site] {
    let config = folder.config
    func fault(_ what: String, _ remedy: String? = nil) -> FileError {
      FileError(.badData, folder.configPath, what, remedy: remedy)
    }
    var targets = try targets("target_modules", folder)
    let exclude = try self.targets("exclude_modules", folder)
    if targets == nil {
      // What PEFT proposes for the families that exist here.
      let isFused = model.sites.contains { $0.use == "attention.qkv" }
      let kinds = isFused ? fused : ["attention.query", "attention.value"]
      targets = .names(kinds)
      notes.append("target_modules is null: the defaults for \(model.modelType) are used")
    }
    var layers: [Int]?
    switch config["layers_to_transform"] ?? .null {
    case .null: break
    case .int(let layer): layers = [layer]
    case .array(let items):
      let numbers = items.map(\.int)
      guard !numbers.contains(nil) else { throw fault("layers_to_transform: is no list of integers") }
      layers = numbers.compactMap { $0 }
    default: throw fault("layers_to_transform: is neither an integer nor a list of them")
    }
    if layers == nil, let pattern = config["layers_pattern"], !PEFTDialect.isUnset(pattern) {
      throw fault("layers_pattern: means nothing without layers_to_transform", "remove it")
    }
    guard let targets else { return [] }
    let excluded = try excluded(exclude, model.sites, folder)
    do throws(Refusal) {
      let chosen = try TargetSelector(targets, layers: layers, demand: .any).select(from: model.sites)
      let left = chosen.filter { !excluded.contains($0.id) }
      guard !left.isEmpty else { throw Refusal("exclude_modules: no site is left of those chosen") }
      return left
    } catch {
      throw fault(error.reason, "check that the adapter belongs to this \(model.modelType) model")
    }
  }

  /// What is left out, if anything: lists are written for all models of a kind, and need not match in each.
  private static func excluded(
    _ exclude: TargetSelector.Targets?, _ sites: [Site], _ folder: AdapterFolder
  ) throws(FileError) -> Set<SiteID> {
    switch exclude {
    case .names(let names):
      return Set(sites.map(\.id).filter { id in names.contains { id.path == $0 || id.path.hasSuffix("." + $0) } })
    case .pattern(let pattern):
      guard let expression = try? Regex(pattern) else {
        throw FileError(.badData, folder.configPath, "exclude_modules: '\(pattern)' is no regular expression")
      }
      return Set(sites.map(\.id).filter { $0.path.wholeMatch(of: expression) != nil })
    case .allLinear, nil: return []
    }
  }

  private static func targets(_ field: String, _ folder: AdapterFolder) throws(FileError) -> TargetSelector.Targets? {
    switch folder.config[field] ?? .null {
    case .null: return nil
    case .string(let text) where text.lowercased() == TargetSelector.allLinear && field == "target_modules": return .allLinear
    case .string(let text): return .pattern(text)
    case .array(let items):
      let names = items.map(\.string)
      guard !names.contains(nil) else { throw FileError(.badData, folder.configPath, "\(field): is no list of names") }
      return names.isEmpty && field != "target_modules" ? nil : .names(names.compactMap { $0 })
    default: throw FileError(.badData, folder.configPath, "\(field): is neither text nor a list")
    }
  }

  /// The shortest names that choose exactly these sites of a model, each with as few components as that takes.
  static func names(of sites: [Site], among all: [Site]) -> [String] {
    let chosen = Set(sites.map(\.id))
    var names: [String] = []
    for site in sites {
      let parts = site.id.path.split(separator: ".")
      let suffixes = (1...max(parts.count, 1)).map { parts.suffix($0).joined(separator: ".") }
      let name =
        suffixes.first { suffix in
          all.allSatisfy { other in
            chosen.contains(other.id) || !(other.id.path == suffix || other.id.path.hasSuffix("." + suffix))
          }
        } ?? site.id.path
      if !names.contains(name) { names.append(name) }
    }
    return names.sorted()
  }
}
