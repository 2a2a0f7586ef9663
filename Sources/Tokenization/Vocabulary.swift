/// Tokens and their ids, both ways.
///
/// Keyed by bytes: `String` compares by canonical equivalence, under which a precomposed "é" and its decomposed
/// twin, two tokens here, are one.
struct Vocabulary: Sendable {
  private(set) var ids: [[UInt8]: UInt32] = [:]
  private(set) var tokens: [UInt32: [UInt8]] = [:]
  private(set) var highestID: UInt32?

  func id(of token: [UInt8]) -> UInt32? { ids[token] }

  func token(of id: Int) -> [UInt8]? {
    guard let id = UInt32(exactly: id) else { return nil }
    return tokens[id]
  }

  /// Adds a token, or leaves the vocabulary alone and returns the one that already holds this id.
  mutating func add(_ token: [UInt8], id: UInt32) -> [UInt8]? {
    if let holder = tokens[id], holder != token { return holder }
    tokens[id] = token
    ids[token] = id
    highestID = max(highestID ?? 0, id)
    return nil
  }

  mutating func reserve(_ count: Int) {
    ids.reserveCapacity(count)
    tokens.reserveCapacity(count)
  }
}
