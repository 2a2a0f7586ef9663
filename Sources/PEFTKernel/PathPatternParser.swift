/// Reads the notation of ``PathPattern``.
struct PathPatternParser {
  private(set) var nodes: [PathPattern.Node] = []
  private(set) var ignoresCase = false
  private let text: String
  private let scalars: [Unicode.Scalar]
  private var position = 0
  private var depth = 0

  /// Beyond these a pattern is no one's work.
  private static let (longest, deepest) = (4096, 40)

  init(_ text: String) {
    self.text = text
    scalars = Array(text.unicodeScalars)
  }

  mutating func parse() throws(Refusal) -> Int {
    guard scalars.count <= Self.longest else { throw fault("has \(scalars.count) characters, more than \(Self.longest)") }
    let root = try choice()
    guard position == scalars.count else { throw fault("has a `)` too many") }
    return root
  }

  private func fault(_ what: String) -> Refusal { Refusal("`\(text)` is no regular expression: it \(what)") }

  private var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

  private mutating func take(_ wanted: String) -> Bool {
    let wanted = Array(wanted.unicodeScalars)
    guard scalars[position...].starts(with: wanted) else { return false }
    position += wanted.count
    return true
  }

  private mutating func skip(to end: Unicode.Scalar) {
    while let scalar = next, scalar != end { position += 1 }
  }

  private mutating func add(_ node: PathPattern.Node) -> Int {
    nodes.append(node)
    return nodes.count - 1
  }

  private mutating func choice() throws(Refusal) -> Int {
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.deepest else { throw fault("nests more than \(Self.deepest) groups") }
    var parts = [try sequence()]
    while take("|") { parts.append(try sequence()) }
    return parts.count == 1 ? parts[0] : add(.choice(parts))
  }

  private mutating func sequence() throws(Refusal) -> Int {
    var parts: [Int] = []
    while let scalar = next, scalar != "|", scalar != ")" {
      guard let part = try piece() else { continue }
      parts.append(try quantified(part))
    }
    return add(.sequence(parts))
  }

  /// One item without its quantifier; nil for what only sets something.
  private mutating func piece() throws(Refusal) -> Int? {
    guard let scalar = next else { return nil }
    position += 1
    switch scalar {
    case ".": return add(.set(.notNewline))
    case "^": return add(.start)
    case "$": return add(.end)
    case "[": return add(.set(try characterClass()))
    case "(": return try group()
    case "\\": return try escape()
    case "*", "+", "?": throw fault("repeats nothing with `\(scalar)`")
    default: return add(.set(single(scalar)))
    }
  }

  private func single(_ scalar: Unicode.Scalar) -> PathPattern.CharacterSet {
    let folded = ignoresCase ? String(scalar).lowercased().unicodeScalars.first ?? scalar : scalar
    return .init(ranges: [folded.value...folded.value])
  }

  private mutating func group() throws(Refusal) -> Int? {
    if take("?#") {
      skip(to: ")")
      guard take(")") else { throw fault("has a group without its `)`") }
      return nil
    }
    if take("?i)") {
      guard nodes.isEmpty else { throw fault("sets `(?i)` behind its beginning") }
      ignoresCase = true
      return nil
    }
    for (sign, isBehind, isWanted) in [("?<=", true, true), ("?<!", true, false), ("?=", false, true), ("?!", false, false)]
    where take(sign) {
      let inner = try closed()
      return add(isBehind ? .behind(inner, isWanted: isWanted) : .ahead(inner, isWanted: isWanted))
    }
    if take("?P<") {
      skip(to: ">")
      guard take(">") else { throw fault("has a group whose name does not end") }
    } else if !take("?:"), next == "?" {
      throw fault("has a group of a kind that is not served")
    }
    return try closed()
  }

  private mutating func closed() throws(Refusal) -> Int {
    let inner = try choice()
    guard take(")") else { throw fault("has a group without its `)`") }
    return inner
  }

  private mutating func quantified(_ part: Int) throws(Refusal) -> Int {
    var part = part
    while let scalar = next {
      let start = position
      let bounds: (least: Int, most: Int?)
      switch scalar {
      case "*": bounds = (0, nil)
      case "+": bounds = (1, nil)
      case "?": bounds = (0, 1)
      case "{":
        guard let counted = counts() else { return part }
        bounds = counted
      default: return part
      }
      if position == start { position += 1 }
      if let most = bounds.most, most < bounds.least { throw fault("repeats at least \(bounds.least) and at most \(most) times") }
      // Whether little or much is taken first makes no difference to what matches as a whole.
      if !take("?"), next == "+" { throw fault("has a possessive quantifier, which is not served") }
      if let again = next, "*+?".unicodeScalars.contains(again) { throw fault("repeats a repetition with `\(again)`") }
      part = add(.repeated(part, least: bounds.least, most: bounds.most))
    }
    return part
  }

  /// `{m}`, `{m,}`, `{,n}` or `{m,n}`; nil where the brace means itself.
  private mutating func counts() -> (least: Int, most: Int?)? {
    guard let end = scalars[position...].firstIndex(of: "}") else { return nil }
    let words = String(String.UnicodeScalarView(scalars[(position + 1)..<end])).split(
      separator: ",", omittingEmptySubsequences: false)
    guard (1...2).contains(words.count), words.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }) else {
      return nil
    }
    if words.count == 1 && words[0].isEmpty { return nil }
    func number(_ word: Substring) -> Int? { word.isEmpty ? nil : Int(word) ?? 1 << 30 }
    position = end + 1
    let least = number(words[0]) ?? 0
    return (least, words.count == 1 ? least : number(words[1]))
  }

  private mutating func escape() throws(Refusal) -> Int {
    switch next {
    case "A":
      position += 1
      return add(.start)
    case "Z":
      position += 1
      return add(.end)
    case "b", "B":
      position += 1
      return add(.wordEdge(isWanted: scalars[position - 1] == "b"))
    case let digit? where ("1"..."9").contains(digit): throw fault("has a back-reference, which is not served")
    default: return add(.set(try escapedSet()))
    }
  }

  /// What stands behind a backslash, in a class or out of one.
  private mutating func escapedSet() throws(Refusal) -> PathPattern.CharacterSet {
    guard let scalar = next else { throw fault("ends with a backslash") }
    position += 1
    func negated(_ set: PathPattern.CharacterSet) -> PathPattern.CharacterSet { .init(parts: [set], isNegated: true) }
    switch scalar {
    case "d": return .digit
    case "D": return negated(.digit)
    case "w": return .word
    case "W": return negated(.word)
    case "s": return .blank
    case "S": return negated(.blank)
    case "n": return single("\n")
    case "t": return single("\t")
    case let letter where letter.properties.isAlphabetic && letter.isASCII: throw fault("has the unknown escape `\\\(letter)`")
    default: return single(scalar)
    }
  }

  private mutating func characterClass() throws(Refusal) -> PathPattern.CharacterSet {
    var set = PathPattern.CharacterSet()
    set.isNegated = take("^")
    var isFirst = true
    while let scalar = next, scalar != "]" || isFirst {
      isFirst = false
      position += 1
      let low = scalar == "\\" ? try escapedSet() : single(scalar)
      let isRange = next == "-" && position + 1 < scalars.count && scalars[position + 1] != "]"
      guard isRange, let first = low.ranges.first?.lowerBound, low.ranges.count == 1, low.parts.isEmpty else {
        set.parts.append(low)
        continue
      }
      position += 1
      guard let end = next else { break }
      position += 1
      let high = end == "\\" ? try escapedSet() : single(end)
      guard high.ranges.count == 1, let last = high.ranges.first?.upperBound, first <= last else {
        throw fault("has a range that ends before it begins")
      }
      set.ranges.append(first...last)
    }
    guard take("]") else { throw fault("has a `[` without its `]`") }
    return set
  }
}
