/// Ends a text that comes in pieces before the first of some texts appears in it.
public struct StopTexts: Sendable {
  private let texts: [[UInt8]]
  /// What may be the beginning of a stop text, and is not given out yet.
  private var held: [UInt8] = []
  /// Whether a stop text was met.
  public private(set) var isEnded = false

  /// Empty texts stop nothing.
  public init(_ texts: [String]) { self.texts = texts.map { Array($0.utf8) }.filter { !$0.isEmpty } }

  /// What can be given out now that `piece` has come.
  public mutating func append(_ piece: String) -> String {
    guard !isEnded else { return "" }
    held += Array(piece.utf8)
    var start = 0
    while start < held.count {
      let rest = held[start...]
      if texts.contains(where: { rest.starts(with: $0) }) {
        isEnded = true
        return take(start, keeping: false)
      }
      // A text that could still become one: wait.
      if texts.contains(where: { $0.starts(with: rest) }) { break }
      start += 1
    }
    return take(start, keeping: true)
  }

  /// What is left where the text ends by itself.
  public mutating func finish() -> String { isEnded ? "" : take(held.count, keeping: false) }

  private mutating func take(_ count: Int, keeping: Bool) -> String {
    let text = String(decoding: held[..<count], as: UTF8.self)
    held = keeping ? Array(held[count...]) : []
    return text
  }
}
