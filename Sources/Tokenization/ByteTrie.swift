/// Texts by their bytes, each with a value: finds those that begin at a place of another text.
struct ByteTrie<Value: Sendable>: Sendable {
  /// The node that follows a node and a byte.
  private var edges = IntegerTable()
  private var values: [Value?] = [nil]

  /// How long a text may be: what is looked for at every place of a text must not take long.
  static var longest: Int { 1000 }

  var isEmpty: Bool { values.count == 1 }

  private static func edge(_ node: Int, _ byte: UInt8) -> UInt64 { UInt64(node) << 8 | UInt64(byte) }

  private func child(_ node: Int, _ byte: UInt8) -> Int? {
    let child = edges[Self.edge(node, byte)]
    return child == IntegerTable.none ? nil : Int(child)
  }

  /// The node of a text, made where there is none yet.
  private mutating func insertNode(_ text: some Collection<UInt8>) -> Int {
    var node = 0
    for byte in text {
      if let child = child(node, byte) {
        node = child
      } else {
        edges[Self.edge(node, byte)] = UInt64(values.count)
        node = values.count
        values.append(nil)
      }
    }
    return node
  }

  /// Puts a text in, or gives it another value; returns the one it had.
  @discardableResult
  mutating func insert(_ text: some Collection<UInt8>, _ value: Value) -> Value? {
    let node = insertNode(text)
    defer { values[node] = value }
    return values[node]
  }

  /// The longest of the texts, not empty, that begin at `start`, and where it ends.
  func longest(in text: [UInt8], from start: Int, to end: Int) -> (value: Value, end: Int)? {
    var best: (Value, Int)?
    var node = 0
    var at = start
    while at < end, let child = child(node, text[at]) {
      node = child
      at += 1
      if let value = values[node] { best = (value, at) }
    }
    return best
  }
}
