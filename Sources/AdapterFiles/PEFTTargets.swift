import Files
import JSON
import Models
import PEFTKernel

/// Between sites and the module names of a PEFT config.
enum PEFTTargets {
  /// The sites that the config chooses, by PEFT's rules. None stands where a module is saved whole.
  static func sites(
    _ folder: AdapterFolder, _ model: any Model, _ subset: TrainableSubset, _ said: Dialect?, _ notes: inout [String]
  ) throws(FileError) -> [Site] {
    let config = folder.config
    func fault(_ what: String, _ remedy: String? = nil) -> FileError {
      FileError(.badData, folder.configPath, what, remedy: remedy)
    }
    var targets = try words("target_modules", folder)
    if targets == nil {
      guard let names = defaults.first(where: { $0.key.contains(model.modelType) })?.value else {
        throw fault("target_modules: is null, and PEFT has no default for \(model.modelType) models", "name the modules")
      }
      // Some methods adapt other maps where query, key and value are one.
      let isFused = model.sites.contains { $0.use == "attention.qkv" }
      let own = isFused ? model.sites.filter { said?.fusedTargets.contains($0.use) == true } : []
      targets = .list(own.isEmpty ? names : self.names(of: own, among: model.sites))
      notes.append("target_modules is null: the defaults for \(model.modelType) are used")
    }
    guard let targets else { return [] }
    var matcher = PEFTMatcher(targets: targets, exclude: try words("exclude_modules", folder), subset: subset)
    // PEFT leaves heads out of the linear maps that it can tell: those of tokens, and of texts' classes.
    matcher.takesHeads = !(model is any LanguageModel) && config["task_type"] != "SEQ_CLS"
    try readLayers(config, into: &matcher, fault)
    do throws(Refusal) { return try sites(matcher, of: model, named: names(in: folder, model)) } catch {
      throw fault(
        error.reason, error.remedy.isEmpty ? "check that the adapter belongs to this \(model.modelType) model" : error.remedy)
    }
  }

  /// By which names the file calls the sites that it has tensors of; nil where it has none.
  private static func names(in folder: AdapterFolder, _ model: any Model) -> PEFTMatcher.Names? {
    let today = Set(model.adaptable.map(\.modulePath.path))
    let others = Set(model.adaptable.flatMap(\.paths)).subtracting(today)
    var isToday = false
    for name in folder.weights.tensors.map(\.name) {
      var path = name.hasPrefix("base_model.model.") ? name.dropFirst("base_model.model.".count) : name[...]
      while let dot = path.lastIndex(of: ".") {
        path = path[..<dot]
        if others.contains(String(path)) { return .any }
        guard today.contains(String(path)) else { continue }
        isToday = true
        break
      }
    }
    return isToday ? .today : nil
  }

  private static func sites(
    _ matcher: PEFTMatcher, of model: any Model, named names: PEFTMatcher.Names?
  ) throws(Refusal) -> [Site] {
    if let names { return try matcher.sites(of: model, by: names) }
    // Nothing in the file says whether it goes by the names of today.
    if let sites = try? matcher.sites(of: model, by: .today) { return sites }
    return try matcher.sites(of: model, by: .any)
  }

  private static func readLayers(
    _ config: JSON, into matcher: inout PEFTMatcher, _ fault: (String, String?) -> FileError
  ) throws(FileError) {
    switch config["layers_to_transform"] ?? .null {
    case .null: break
    case .int(let layer): matcher.layers = [layer]
    case .array(let items):
      let numbers = items.map(\.int)
      guard !numbers.contains(nil) else { throw fault("layers_to_transform: is neither an integer nor a list of them", nil) }
      if !numbers.isEmpty { matcher.layers = Set(numbers.compactMap { $0 }) }
    default: throw fault("layers_to_transform: is neither an integer nor a list of them", nil)
    }
    let given = config["layers_pattern"] ?? .null
    guard !PEFTDialect.isUnset(given) || matcher.layers != nil else { return }
    let isGiven = !PEFTDialect.isUnset(given)
    if case .list = matcher.targets {
    } else if matcher.layers != nil || isGiven {
      throw fault("layers_to_transform: does not go with a target_modules that is a string", "name the modules in a list")
    }
    guard matcher.layers != nil else { throw fault("layers_pattern: means nothing without layers_to_transform", "remove it") }
    let patterns = given.isNull ? [] : (given.array ?? [given]).map(\.string)
    for pattern in patterns where pattern != "" {
      guard let pattern else { throw fault("layers_pattern: is neither text nor a list of texts", nil) }
      do throws(Refusal) { matcher.layerPatterns.append(try PathPattern("(.*\\.)?(\(pattern))")) } catch {
        throw fault("layers_pattern: \(error.reason)", nil)
      }
    }
  }

  private static func words(_ field: String, _ folder: AdapterFolder) throws(FileError) -> PEFTMatcher.Words? {
    switch folder.config[field] ?? .null {
    case .null: return nil
    case .string(let text) where text.lowercased() == "all-linear" && field == "target_modules": return .allLinear
    case .string(""): return nil
    case .string(let text):
      do throws(Refusal) { return .pattern(try PathPattern(text)) } catch {
        throw FileError(.badData, folder.configPath, "\(field): \(error.reason)")
      }
    case .array(let items):
      let names = items.map(\.string)
      guard !names.contains(nil) else { throw FileError(.badData, folder.configPath, "\(field): is no list of names") }
      return names.isEmpty && field != "target_modules" ? nil : .list(names.compactMap { $0 })
    default: throw FileError(.badData, folder.configPath, "\(field): is neither text nor a list")
    }
  }

  /// What PEFT 0.21 takes where the config names no modules, by families. Only those that can be loaded here matter; the others
  /// say which families were thought of.
  private static let defaults: KeyValuePairs<[String], [String]> = [
    [
      "llama", "mistral", "mixtral", "gemma", "gemma2", "gemma3_text", "qwen2", "qwen3", "stablelm", "opt", "bart", "gptj",
      "gpt_neo",
    ]: ["q_proj", "v_proj"],
    ["gpt2", "gpt_bigcode"]: ["c_attn"],
    ["bert", "roberta", "xlm-roberta", "electra", "layoutlm"]: ["query", "value"],
    ["bloom", "gpt_neox", "falcon", "chatglm"]: ["query_key_value"],
    ["t5", "mt5"]: ["q", "v"],
    ["phi"]: ["q_proj", "v_proj", "fc1", "fc2"],
    ["deberta-v2"]: ["query_proj", "value_proj"],
    ["deberta"]: ["in_proj"],
    ["mpt"]: ["Wqkv"],
  ]

  /// The shortest names that choose exactly these sites of a model, each with as few components as that takes.
  static func names(of sites: [Site], among all: [Site]) -> [String] {
    let chosen = Set(sites.map(\.id))
    var names: [String] = []
    for site in sites {
      let path = site.modulePath.path
      let parts = path.split(separator: ".")
      let suffixes = (1...max(parts.count, 1)).map { parts.suffix($0).joined(separator: ".") }
      let name =
        suffixes.first { suffix in
          all.allSatisfy { other in
            chosen.contains(other.id) || !(other.modulePath.path == suffix || other.modulePath.path.hasSuffix("." + suffix))
          }
        } ?? path
      if !names.contains(name) { names.append(name) }
    }
    return names.sorted()
  }
}
