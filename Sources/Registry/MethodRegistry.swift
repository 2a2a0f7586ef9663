import Files
import JSON
import PEFTKernel
import YAML

/// Every axis that is registered and every method that is composed of them.
public struct MethodRegistry: Sendable {
  public let axes: AxisRegistry
  public let entries: [String: MethodEntry]

  /// Reads `entries`, then every `.yaml` of `folders`; all faults of all files come at once.
  ///
  /// Two entries of one name are refused: a method must not change its meaning with the order of folders.
  public init(plugins: [Plugin], entries sources: [EntrySource], folders: [String] = []) throws(ConfigurationErrors) {
    do throws(Refusal) { axes = try AxisRegistry(plugins) } catch {
      throw ConfigurationErrors([Issue(error.description, file: "plugins")])
    }
    var issues: [Issue] = []
    var entries: [String: MethodEntry] = [:]
    var places: [String: String] = [:]
    for source in sources + Self.sources(in: folders, &issues) {
      guard let (entry, mark) = Self.read(source, axes, &issues) else { continue }
      if let earlier = places[entry.name] {
        let message = "the method `\(entry.name)` is already defined in \(earlier); give this one another name"
        issues.append(Issue(message, file: source.file, line: mark.line, column: mark.column))
        continue
      }
      entries[entry.name] = entry
      places[entry.name] = source.file
    }
    guard issues.isEmpty else { throw ConfigurationErrors(issues) }
    self.entries = entries
  }

  private static func sources(in folders: [String], _ issues: inout [Issue]) -> [EntrySource] {
    var sources: [EntrySource] = []
    for folder in folders {
      do throws(FileError) {
        for name in try Folder.names(in: folder) where name.hasSuffix(".yaml") || name.hasSuffix(".yml") {
          let path = Folder.join(folder, name)
          sources.append(EntrySource(file: path, text: try TextFile.read(path, maximumBytes: 1 << 20)))
        }
      } catch {
        issues.append(Issue(error.reason, kind: Issue.Kind(error.kind), file: error.path))
      }
    }
    return sources
  }

  private static func read(_ source: EntrySource, _ axes: AxisRegistry, _ issues: inout [Issue]) -> (MethodEntry, Mark)? {
    var duplicates: [YAMLError] = []
    do throws(YAMLError) {
      let node = try YAMLNode.parse(source.text, file: source.file, duplicates: &duplicates)
      var reader = EntryReader(
        axes: axes, entries: [:], reader: SchemaReader(file: source.file, folder: "", schema: EntrySchema.keys))
      for duplicate in duplicates { reader.reader.log.add(duplicate.message, at: duplicate.mark) }
      let entry = reader.entry(node, path: "")
      do throws(ConfigurationErrors) { try reader.reader.log.finish() } catch { issues += error.issues }
      return entry.map { ($0, node["name"]?.mark ?? node.mark) }
    } catch {
      issues.append(Issue(error))
      return nil
    }
  }

  // MARK: Entries

  /// The entry of that name; the refusal names the nearest.
  public func entry(named name: String) throws(Refusal) -> MethodEntry {
    if let entry = entries[name] { return entry }
    throw Refusal("there is no method `\(name)`\(Nearest.remedy(for: name, among: entries.keys.sorted()))")
  }

  /// An entry with some options replaced, by any name that their tables know (`rank` or `r`).
  ///
  /// An option goes to the axis that has it; one that two axes have is refused. Beside options the parts of an entry can be
  /// replaced by their keys: `projection`, `init`, `trainable`, `targets`, `optimizer`.
  public func entry(_ name: String, overriding options: [String: OptionValue]) throws(Refusal) -> MethodEntry {
    try overriding(entry(named: name), options)
  }

  /// See ``entry(_:overriding:)``.
  public func overriding(_ entry: MethodEntry, _ options: [String: OptionValue]) throws(Refusal) -> MethodEntry {
    var reader = reader("method")
    let result = reader.overriding(entry, OptionValue.map(options).node, path: "", aliases: true)
    guard let result, reader.reader.log.issues.isEmpty else { throw reader.refusal("method `\(entry.name)`") }
    return result
  }

  // MARK: Making

  /// The entry's axes, made.
  public func assemble(_ entry: MethodEntry) throws(Refusal) -> Assembly {
    guard !entry.hasAdapter || !entry.trainable.roles.isEmpty else {
      throw Refusal(
        "trainable names the base alone, and projection `\(entry.projection.name)` would stay as it starts",
        remedy: "add roles of its tensors, or use projection: none")
    }
    return Assembly(
      projection: try Self.make(entry.projection, axes.projections, "projection"),
      initialization: try Self.make(entry.initialization, axes.inits, "init strategy"), trainable: entry.trainable)
  }

  /// An optimizer, made.
  public func rule(_ name: String, options: [String: OptionValue] = [:]) throws(Refusal) -> any UpdateRule {
    try Self.make(Choice(name, options), axes.optimizers, "optimizer")
  }

  private static func make<Axis>(
    _ choice: Choice, _ table: [String: AxisDefinition<Axis>], _ kind: String
  ) throws(Refusal) -> Axis {
    guard let definition = table[choice.name] else {
      throw Refusal("unknown \(kind) `\(choice.name)`\(Nearest.remedy(for: choice.name, among: table.keys.sorted()))")
    }
    return try definition.make(Options(choice.options, checkedBy: definition.options))
  }

  // MARK: JSON

  /// The entry in full, for adapter files.
  public func json(of entry: MethodEntry) -> JSON { JSON(entry.node) }

  /// An entry that ``json(of:)`` wrote; `place` names the file in the refusal.
  public func entry(from json: JSON, place: String) throws(Refusal) -> MethodEntry {
    var reader = reader(place)
    let entry = reader.entry(YAMLNode(json), path: "")
    guard let entry, reader.reader.log.issues.isEmpty else { throw reader.refusal(place) }
    return entry
  }

  func reader(_ file: String, folder: String = "", schema: [KeySpec] = EntrySchema.keys) -> EntryReader {
    EntryReader(axes: axes, entries: entries, reader: SchemaReader(file: file, folder: folder, schema: schema))
  }
}

extension EntryReader {
  /// The faults of a value that was in no text.
  func refusal(_ place: String) -> Refusal {
    Refusal("\(place): " + reader.log.issues.map(\.message).joined(separator: "; "))
  }
}

extension Issue {
  init(_ error: YAMLError) {
    self.init(error.message, file: error.file, line: error.mark.line, column: error.mark.column)
  }
}
