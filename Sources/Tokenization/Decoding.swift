/// Tokens on their way through the steps of a decoder.
struct Decoding: Sendable {
  private var stages: [DecoderStage]

  init(_ steps: [DecoderStep]) { stages = steps.map(DecoderStage.init) }

  /// Takes a token; what becomes certain of the text comes out.
  mutating func append(_ token: [UInt8], to text: inout [UInt8]) {
    push([Part(bytes: token, isLast: true)], through: 0, to: &text)
  }

  /// What was held back.
  mutating func finish(_ text: inout [UInt8]) {
    for index in stages.indices {
      var parts: [Part] = []
      stages[index].finish(&parts)
      push(parts, through: index + 1, to: &text)
    }
  }

  private mutating func push(_ parts: [Part], through first: Int, to text: inout [UInt8]) {
    var parts = parts
    for index in first..<stages.count {
      guard !parts.isEmpty else { return }
      var next: [Part] = []
      for part in parts { stages[index].take(part, &next) }
      parts = next
    }
    for part in parts { text += part.bytes }
  }

  /// A token, or a part of one.
  struct Part {
    var bytes: [UInt8]
    /// Whether the token ends here.
    var isLast: Bool
  }
}

/// A step and what it holds back.
private struct DecoderStage: Sendable {
  let step: DecoderStep
  /// Bytes whose meaning what follows decides.
  private var pending: [UInt8] = []
  /// Whether the current token has begun: for those that give out parts of tokens, and those that wait for the end.
  private var isInside = false
  private var tokens = 0
  /// Characters of the current token that were dropped at its start.
  private var dropped = 0
  private var isDropping = true

  init(_ step: DecoderStep) { self.step = step }

  /// Puts to the parts what comes of one more.
  mutating func take(_ part: Decoding.Part, _ parts: inout [Decoding.Part]) {
    switch step {
    case .byteLevel:
      // Tokens in parts are rare here: they wait.
      guard let token = whole(part) else { return }
      pending += ByteAlphabet.decode(token)
      let end = pending.count - pending.incompleteSuffix()
      guard end > 0 else { return }
      parts.append(.init(bytes: Array(String(decoding: pending[..<end], as: UTF8.self).utf8), isLast: false))
      pending.removeFirst(end)
    case .fuse: parts.append(.init(bytes: part.bytes, isLast: false))
    case .spaced:
      parts.append(.init(bytes: tokens == 0 ? part.bytes : [0x20] + part.bytes, isLast: part.isLast))
      tokens += 1
    case .metaspace(let replacement, let dropsFirst):
      parts.append(.init(bytes: spaced(part.bytes, replacement, drops: dropsFirst && tokens == 0), isLast: part.isLast))
      if part.isLast { tokens += 1 }
    case .strip(let content, let start, let stop): parts.append(stripped(part, content, start, stop))
    case .wordPiece(let prefix, let cleansUp):
      guard let token = whole(part) else { return }
      parts.append(.init(bytes: wordPiece(token, prefix, cleansUp), isLast: true))
    case .replace(let replace):
      guard let token = whole(part) else { return }
      parts.append(.init(bytes: replace.replaced(token), isLast: true))
    case .bpe(let suffix):
      // The last token is told by that none follows.
      guard let token = whole(part) else { return }
      if tokens > 0 { parts.append(.init(bytes: suffix.replaced(in: held, by: [0x20]), isLast: true)) }
      (held, tokens) = (token, 1)
    case .byteFallback:
      guard let token = whole(part) else { return }
      if let byte = Self.byte(token) { return pending.append(byte) }
      fallBack(&parts)
      parts.append(.init(bytes: token, isLast: true))
    }
  }

  /// Puts to the parts what was held back.
  mutating func finish(_ parts: inout [Decoding.Part]) {
    // A token fused out of all others ends where the text does.
    if isInside { take(.init(bytes: [], isLast: true), &parts) }
    switch step {
    case .byteLevel:
      parts.append(.init(bytes: Array(String(decoding: pending, as: UTF8.self).utf8), isLast: true))
      pending = []
    case .fuse: parts.append(.init(bytes: [], isLast: true))
    case .bpe(let suffix):
      if tokens > 0 { parts.append(.init(bytes: suffix.replaced(in: held, by: []), isLast: true)) }
    case .byteFallback: fallBack(&parts)
    default: break
    }
  }

  /// The token that ended, whole.
  private mutating func whole(_ part: Decoding.Part) -> [UInt8]? {
    if !isInside, part.isLast { return part.bytes }
    token += part.bytes
    isInside = !part.isLast
    guard part.isLast else { return nil }
    defer { token = [] }
    return token
  }

  /// What has come of a token that came in parts.
  private var token: [UInt8] = []
  /// The token before, which may be the last.
  private var held: [UInt8] = []

  private mutating func wordPiece(_ token: [UInt8], _ prefix: [UInt8], _ cleansUp: Bool) -> [UInt8] {
    defer { tokens = 1 }
    var bytes = token
    if tokens > 0 { bytes = token.starts(with: prefix) ? Array(token[prefix.count...]) : [0x20] + token }
    return cleansUp ? DecoderStep.cleanedUp(bytes, asTokens: true) : bytes
  }

  private func spaced(_ bytes: [UInt8], _ replacement: Unicode.Scalar, drops: Bool) -> [UInt8] {
    var new: [UInt8] = []
    var at = 0
    while at < bytes.count {
      let scalar = bytes.scalar(at: at)
      if scalar.value == replacement {
        if !drops { new.append(0x20) }
      } else {
        new += bytes[at..<scalar.end]
      }
      at = scalar.end
    }
    return new
  }

  private mutating func stripped(_ part: Decoding.Part, _ content: Unicode.Scalar, _ start: Int, _ stop: Int) -> Decoding.Part {
    let bytes = part.bytes
    var at = 0
    while isDropping, dropped < start, at < bytes.count {
      let scalar = bytes.scalar(at: at)
      guard scalar.value == content else { break }
      at = scalar.end
      dropped += 1
    }
    if at < bytes.count || dropped == start { isDropping = false }
    pending += bytes[at...]
    // What may turn out to stand at the end is held back.
    var (end, count) = (pending.count, 0)
    while count < stop, end > 0 {
      let last = pending.scalar(endingAt: end)
      guard last.value == content else { break }
      (end, count) = (last.start, count + 1)
    }
    defer {
      pending.removeFirst(part.isLast ? pending.count : end)
      isInside = !part.isLast
      if part.isLast { (isDropping, dropped) = (true, 0) }
    }
    return .init(bytes: Array(pending[..<end]), isLast: part.isLast)
  }

  /// Puts the bytes that waited to the parts: as a character if they are one or more, else as signs that they are none.
  private mutating func fallBack(_ parts: inout [Decoding.Part]) {
    guard !pending.isEmpty else { return }
    if String(validating: pending, as: UTF8.self) != nil {
      parts.append(.init(bytes: pending, isLast: true))
    } else {
      for _ in pending { parts.append(.init(bytes: [0xEF, 0xBF, 0xBD], isLast: true)) }
    }
    pending = []
  }

  /// The byte that a token of the form `<0x61>` names; a sign may stand for the first digit, the library says.
  private static func byte(_ token: [UInt8]) -> UInt8? {
    guard token.count == 6, token.starts(with: "<0x".utf8), token[3] != UInt8(ascii: "-"), token[5] == UInt8(ascii: ">")
    else { return nil }
    return UInt8(String(decoding: token[3..<5], as: UTF8.self), radix: 16)
  }
}

extension Literal {
  func replaced(in bytes: [UInt8], by content: [UInt8]) -> [UInt8] {
    var new: [UInt8] = []
    var copied = 0
    forEachMatch(in: bytes, 0..<bytes.count) { match in
      new += bytes[copied..<match.lowerBound]
      new += content
      copied = match.upperBound
    }
    return new + bytes[copied...]
  }
}

extension [UInt8] {
  /// How many bytes at the end begin a character that more bytes could complete.
  func incompleteSuffix() -> Int {
    for length in 1...3 where length <= count {
      let lead = self[count - length]
      if lead & 0xC0 == 0x80 { continue }
      let whole =
        switch lead {
        case 0xC2...0xDF: 2
        case 0xE0...0xEF: 3
        case 0xF0...0xF4: 4
        default: 1
        }
      guard whole > length else { return 0 }
      // Some second bytes make an overlong form or a surrogate: nothing can complete those.
      if length > 1 {
        switch (lead, self[count - length + 1]) {
        case (0xE0, ..<0xA0), (0xED, 0xA0...), (0xF0, ..<0x90), (0xF4, 0x90...): return 0
        default: break
        }
      }
      return length
    }
    return 0
  }
}
