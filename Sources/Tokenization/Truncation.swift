/// How what is too long is cut.
public struct Truncation: Sendable, Equatable {
  public enum Strategy: Sendable, Equatable {
    /// The longer of two texts first.
    case longestFirst
    case onlyFirst
    case onlySecond
  }

  /// The most ids an encoding may have, those put around the texts included.
  public var maximumLength: Int
  public var strategy: Strategy
  /// The side that goes.
  public var side: Side

  public init(maximumLength: Int, strategy: Strategy = .longestFirst, side: Side = .right) {
    (self.maximumLength, self.strategy, self.side) = (maximumLength, strategy, side)
  }

  init(_ field: Field) throws(TokenizerError) {
    maximumLength = try field["max_length"].int()
    guard maximumLength >= 0 else { throw field["max_length"].refusal("\(maximumLength) is less than 0") }
    side = field["direction"].isNull ? .right : try Side(field["direction"])
    switch field["strategy"].isNull ? "LongestFirst" : try field["strategy"].string() {
    case "LongestFirst": strategy = .longestFirst
    case "OnlyFirst": strategy = .onlyFirst
    case "OnlySecond": strategy = .onlySecond
    case let name: throw field["strategy"].refusal("\(quoted(name)) is not supported")
    }
    let stride = field["stride"]
    if !stride.isNull, try stride.int() != 0 {
      throw stride.refusal("\(try stride.int()) is not supported: what is cut off makes no further encodings here")
    }
  }

  func cut(_ sequences: inout [EncodedSequence], addedTokens: Int) throws(TokenizerError) {
    let limit = maximumLength - addedTokens
    guard limit >= 0 else {
      throw refusal("\(maximumLength) leaves no room for the \(addedTokens) tokens that are put around")
    }
    let lengths = sequences.map(\.ids.count)
    let excess = lengths.reduce(0, +) - limit
    guard excess > 0 else { return }
    if limit == 0 {
      for i in sequences.indices { sequences[i] = sequences[i].slice(0..<0) }
      return
    }
    switch strategy {
    case .longestFirst where sequences.count == 1: shorten(&sequences[0], to: limit)
    case .longestFirst:
      // The longer gives way to the shorter one's length, then both to a half.
      let shorter = min(lengths[0], lengths[1])
      var longer = shorter > limit ? shorter : max(shorter, limit - shorter)
      var least = shorter
      if shorter + longer > limit {
        least = limit / 2
        longer = least + limit % 2
      }
      let isFirstLonger = lengths[0] > lengths[1]
      shorten(&sequences[0], to: isFirstLonger ? longer : least)
      shorten(&sequences[1], to: isFirstLonger ? least : longer)
    case .onlyFirst, .onlySecond:
      let place = strategy == .onlyFirst ? 0 : 1
      guard place < sequences.count else { throw refusal("the second text is to be cut, and there is none") }
      guard lengths[place] > excess else {
        throw refusal("a text of \(lengths[place]) tokens is to lose \(excess), and nothing of it would be left")
      }
      shorten(&sequences[place], to: lengths[place] - excess)
    }
  }

  private func refusal(_ message: String) -> TokenizerError { TokenizerError(path: "truncation", message: message) }

  private func shorten(_ sequence: inout EncodedSequence, to length: Int) {
    let count = sequence.ids.count
    guard length < count else { return }
    sequence = sequence.slice(side == .right ? 0..<length : count - length..<count)
  }
}

/// Where a text is cut, or filled up.
public enum Side: Sendable, Equatable {
  case left
  case right

  init(_ field: Field) throws(TokenizerError) {
    let name = try field.string()
    switch name.lowercased() {
    case "left": self = .left
    case "right": self = .right
    default: throw field.refusal("\(quoted(name)) is not supported")
    }
  }
}
