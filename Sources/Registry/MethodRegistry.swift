import Files
import JSON
import PEFTKernel
import YAML

/// Every axis that is registered and every method that is composed of them.
public struct MethodRegistry: Sendable {
  public let axes: AxisRegistry
  public let entries: [String: MethodEntry]

  /// Reads `entries`, then every `.yaml` of `folders`; all faults of all files come at once.
  public init(plugins: [Plugin], entries: [EntrySource], folders: [String] = []) throws(ConfigurationErrors) {
    throw ConfigurationErrors([])
  }

  /// The entry of that name; the refusal names the nearest.
  public func entry(named name: String) throws(Refusal) -> MethodEntry { throw Refusal("") }

  /// An entry with some options replaced: by any name that their table knows (`rank` or `r`), from whichever axis has it.
  public func entry(_ name: String, overriding options: [String: OptionValue]) throws(Refusal) -> MethodEntry {
    throw Refusal("")
  }

  /// The entry's axes, made.
  public func assemble(_ entry: MethodEntry) throws(Refusal) -> Assembly { throw Refusal("") }

  /// An optimizer, made.
  public func rule(_ name: String, options: [String: OptionValue]) throws(Refusal) -> any UpdateRule { throw Refusal("") }

  /// The entry in full, for adapter files.
  public func json(of entry: MethodEntry) -> JSON { .null }

  /// An entry that ``json(of:)`` wrote; `place` names the file in the refusal.
  public func entry(from json: JSON, place: String) throws(Refusal) -> MethodEntry { throw Refusal("") }
}
extension RunFile {
  /// Reads a run file and checks it whole. With `sites`, which gives the sites of a base model directory, selectors are checked too.
  public static func load(
    _ path: String, registry: MethodRegistry, sites: ((_ baseModel: String, _ fromScratch: Bool) throws -> [Site])? = nil
  ) throws(ConfigurationErrors) -> RunFile { throw ConfigurationErrors([]) }
  /// The chosen sites of a model. Selectors that match nothing are reported with their places.
  public func selectSites(from sites: [Site]) throws(ConfigurationErrors) -> [Site] { sites }
  /// The file as it was understood: every key with its value, the method in full, paths absolute. Reads back equal.
  public var resolvedText: String { "" }
}
extension TargetSelector {
  public func select(from sites: [Site], faults: inout [Fault]) -> [Site] { [] }
}
