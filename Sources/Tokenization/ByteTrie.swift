/// Texts by their bytes, each with a value: finds those that begin at a place of another text.
struct ByteTrie<Value: Sendable>: Sendable {
  /// An edge is its node and a byte, packed.
  private var edges: [Int: Int] = [:]
  private var values: [Value?] = [nil]

  /// How long a text may be: what is looked for at every place of a text must not take long.
  static var longest: Int { 1000 }

  var isEmpty: Bool { values.count == 1 }

  /// The node of a text, made where there is none yet.
  private mutating func insertNode(_ text: some Collection<UInt8>) -> Int {
    var node = 0
    for byte in text {
      let edge = node << 8 | Int(byte)
      if let child = edges[edge] {
        node = child
      } else {
        node = values.count
        values.append(nil)
        edges[edge] = node
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
  func longest<Text: RandomAccessCollection<UInt8>>(
    in text: Text, from start: Int, to end: Int
  ) -> (value: Value, end: Int)? where Text.Index == Int {
    var best: (Value, Int)?
    var node = 0
    var at = start
    while at < end, let child = edges[node << 8 | Int(text[at])] {
      node = child
      at += 1
      if let value = values[node] { best = (value, at) }
    }
    return best
  }
}
