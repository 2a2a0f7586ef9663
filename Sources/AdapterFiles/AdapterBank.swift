import Engine
import Models
import PEFTKernel
import Registry

/// Adapters on one base, each under a name of its own; one of them is in use, or none.
///
/// A value: switching copies and prepares nothing, and what one adapter does never touches another or the base. With none in use
/// the model computes what it computes alone, to the bit.
public struct AdapterBank: Sendable {
  /// The word for no adapter at all.
  public static let base = "base"

  /// In the order they came.
  public private(set) var names: [String] = []
  /// The name of the adapter in use; nil for the base.
  public private(set) var inUse: String?
  private var adapters: [String: Adapter] = [:]
  private let sites: Set<Site>

  public init(on model: any Model) { sites = Set(model.adaptable) }

  /// Takes an adapter in under a name; refuses names that are taken or mean something else, and adapters of other models.
  public mutating func add(_ adapter: Adapter, as name: String) throws(Refusal) {
    guard name != Self.base else {
      throw Refusal("no adapter can be called `\(name)`: that is the model without one", remedy: "choose another name")
    }
    let isWord = !name.isEmpty && !name.contains { $0.isWhitespace || "=,/".contains($0) }
    guard isWord else {
      throw Refusal("`\(name)` is no name for an adapter", remedy: "use a word without blanks, `=`, `,` and `/`")
    }
    guard adapters[name] == nil else {
      throw Refusal("two adapters are called `\(name)`", remedy: "give each a name of its own: NAME=FOLDER")
    }
    if let site = adapter.sites.first(where: { !sites.contains($0) }) {
      throw Refusal("adapter `\(name)` stands at \(site.id) [\(site.outputs), \(site.inputs)], which this model does not have")
    }
    adapters[name] = adapter
    names.append(name)
  }

  /// Puts the adapter of that name in use; nil or `base` for none.
  public mutating func use(_ name: String?) throws(Refusal) {
    guard let name, name != Self.base else { return inUse = nil }
    _ = try adapter(name)
    inUse = name
  }

  /// Takes an adapter out; where it was in use, the base is.
  public mutating func remove(_ name: String) throws(Refusal) {
    _ = try adapter(name)
    adapters[name] = nil
    names.removeAll { $0 == name }
    if inUse == name { inUse = nil }
  }

  /// The adapter of that name; refuses others with the nearest there is.
  public func adapter(_ name: String) throws(Refusal) -> Adapter {
    guard let adapter = adapters[name] else {
      throw Refusal("there is no adapter `\(name)`\(Nearest.remedy(for: name, among: names + [Self.base]))")
    }
    return adapter
  }

  /// The adapter in use.
  public var active: Adapter? { inUse.flatMap { adapters[$0] } }

  /// The adapter in use as a pass takes it; nil for the base.
  public func attached(_ now: Moment = Moment()) -> Attachment? { active?.attached(now) }

  /// The terms of Σ weight·ΔW, in the order of the bank. Every adapter must be named, and no other.
  public func terms(_ weights: [String: Double]) throws(Refusal) -> [WeightedAdapter] {
    for name in weights.keys.sorted() { _ = try adapter(name) }
    var terms: [WeightedAdapter] = []
    for name in names {
      guard let weight = weights[name] else {
        throw Refusal("there is no weight for `\(name)`", remedy: "write `\(name)=0` to leave it out")
      }
      terms.append(WeightedAdapter(try adapter(name), weight: weight, name: name))
    }
    guard terms.contains(where: { $0.weight != 0 }) else {
      throw Refusal("every weight is 0, so nothing is left of the adapters", remedy: "use the base")
    }
    return terms
  }
}
