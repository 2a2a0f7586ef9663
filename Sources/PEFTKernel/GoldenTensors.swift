import Synchronization

/// Tensors of a reference file by name. Copies remember together which names were asked for, so that a tensor nobody reads
/// is noticed: an oracle that states it and a reader that passes over it do not mean the same problem.
public struct GoldenTensors<Value: Sendable>: Sendable, ExpressibleByDictionaryLiteral {
  private var values: [String: Value]
  private var asked = Asked()

  private final class Asked: Sendable {
    let names = Mutex<Set<String>>([])
  }

  public init(_ values: [String: Value]) { self.values = values }

  public init(dictionaryLiteral elements: (String, Value)...) {
    values = Dictionary(elements) { $1 }
  }

  public subscript(name: String) -> Value? {
    get {
      asked.names.withLock { _ = $0.insert(name) }
      return values[name]
    }
    set { values[name] = newValue }
  }

  public var names: [String] { values.keys.sorted() }

  /// Those nobody asked for yet.
  public var unread: [String] {
    let read = asked.names.withLock { $0 }
    return names.filter { !read.contains($0) }
  }

  /// The same tensors, none of them read.
  public var fresh: Self { Self(values) }

  /// Other values under the same names, which count as the same tensors.
  public func mapValues(_ body: (Value) -> Value) -> Self {
    var result = Self(values.mapValues(body))
    result.asked = asked
    return result
  }
}
