/// A regular expression for paths of modules, in the notation of Python's `re`, as adapters' configs have it.
///
/// Matching takes time polynomial in pattern and path, whatever the pattern: configs come from strangers, and an engine that tries
/// one way after another can be kept busy for years by a line. For every part of the pattern and every place in the path the
/// ends that a match can have are found once. Back-references, which cannot be matched so, are refused.
public struct PathPattern: Sendable, Hashable {
  public let text: String
  private let nodes: [Node]
  private let root: Int
  private let ignoresCase: Bool

  enum Node: Sendable, Hashable {
    case set(CharacterSet)
    case sequence([Int])
    case choice([Int])
    case repeated(Int, least: Int, most: Int?)
    /// Something stands here, or does not, and is not taken.
    case ahead(Int, isWanted: Bool)
    /// The same of what stands before.
    case behind(Int, isWanted: Bool)
    case start
    case end
    case wordEdge(isWanted: Bool)
  }

  /// Refuses what is no regular expression, and what is not served, in words.
  public init(_ text: String) throws(Refusal) {
    var parser = PathPatternParser(text)
    root = try parser.parse()
    nodes = parser.nodes
    ignoresCase = parser.ignoresCase
    self.text = text
  }

  /// Whether the whole path matches.
  public func matches(_ path: String) -> Bool {
    let scalars = Array((ignoresCase ? path.lowercased() : path).unicodeScalars)
    var matcher = Matcher(nodes: nodes, path: scalars)
    return matcher.ends(of: root, from: 0)[scalars.count]
  }

  private struct Matcher {
    let nodes: [Node]
    let path: [Unicode.Scalar]
    /// By node and start: for every place, whether a match can end there.
    private var known: [Int: [Bool]] = [:]

    init(nodes: [Node], path: [Unicode.Scalar]) {
      self.nodes = nodes
      self.path = path
    }

    mutating func ends(of node: Int, from start: Int) -> [Bool] {
      let key = node * (path.count + 1) + start
      if let found = known[key] { return found }
      let found = find(nodes[node], start)
      known[key] = found
      return found
    }

    private mutating func find(_ node: Node, _ start: Int) -> [Bool] {
      func here(_ isMatch: Bool) -> [Bool] {
        var ends = [Bool](repeating: false, count: path.count + 1)
        ends[start] = isMatch
        return ends
      }
      switch node {
      case .set(let set):
        var ends = here(false)
        if start < path.count, set.contains(path[start]) { ends[start + 1] = true }
        return ends
      case .sequence(let parts): return parts.reduce(here(true)) { ends(of: $1, fromAll: $0) }
      case .choice(let parts):
        return parts.reduce(here(false)) { union, part in zip(union, ends(of: part, from: start)).map { $0 || $1 } }
      case .repeated(let part, let least, let most): return repeated(part, least, most, here(true))
      case .ahead(let part, let isWanted): return here(ends(of: part, from: start).contains(true) == isWanted)
      case .behind(let part, let isWanted):
        var isThere = false
        for before in 0...start where !isThere { isThere = ends(of: part, from: before)[start] }
        return here(isThere == isWanted)
      case .start: return here(start == 0)
      case .end: return here(start == path.count)
      case .wordEdge(let isWanted):
        let before = start > 0 && CharacterSet.word.contains(path[start - 1])
        let after = start < path.count && CharacterSet.word.contains(path[start])
        return here((before != after) == isWanted)
      }
    }

    private mutating func ends(of node: Int, fromAll starts: [Bool]) -> [Bool] {
      var union = [Bool](repeating: false, count: path.count + 1)
      for start in starts.indices where starts[start] {
        for (place, isEnd) in ends(of: node, from: start).enumerated() where isEnd { union[place] = true }
      }
      return union
    }

    private mutating func repeated(_ part: Int, _ least: Int, _ most: Int?, _ start: [Bool]) -> [Bool] {
      var current = start
      // A round either takes something, which the path soon has no more of, or may take nothing, and then places only join.
      for _ in 0..<min(least, path.count + 2) { current = ends(of: part, fromAll: current) }
      var all = current
      for _ in 0..<min(most.map { $0 - least } ?? .max, path.count + 2) {
        let next = ends(of: part, fromAll: current)
        let joined = zip(all, next).map { $0 || $1 }
        if joined == all { break }
        (all, current) = (joined, next)
      }
      return all
    }
  }

  /// Characters, or all but them.
  struct CharacterSet: Sendable, Hashable {
    var ranges: [ClosedRange<UInt32>] = []
    /// Sets that are part of it, negated ones among them.
    var parts: [CharacterSet] = []
    var isNegated = false

    func contains(_ scalar: Unicode.Scalar) -> Bool {
      (ranges.contains { $0.contains(scalar.value) } || parts.contains { $0.contains(scalar) }) != isNegated
    }

    static let digit = CharacterSet(ranges: [0x30...0x39])
    static let word = CharacterSet(ranges: [0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A, 0x80...0x10FFFF])
    static let blank = CharacterSet(ranges: [0x09...0x0D, 0x20...0x20])
    static let notNewline = CharacterSet(ranges: [0x0A...0x0A], isNegated: true)
  }
}
