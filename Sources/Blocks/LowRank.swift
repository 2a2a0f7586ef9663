import Engine
import PEFTKernel
import Synchronization

/// ΔW = s·B·A with A [rank, inputs], B [outputs, rank] at every site: what LoRA and everything started differently share.
///
/// s = alpha/rank, or alpha/√rank where scaling is rank-stabilised. Forward 2·T·rank·(in + out) flops; B·A is never formed.
public struct LowRank: Projection {
  public var rank: Int
  public var alpha: Double
  public var scaling: Scaling
  public var dropout: Double
  /// Whether B carries a bias [outputs], scaled like its product.
  public var hasBias: Bool
  /// Rank and alpha of sites whose path matches a pattern.
  public var rankPattern: SitePatterns
  public var alphaPattern: SitePatterns
  public var allowsExcessRank: Bool
  /// How A and B start where the init strategy leaves them to the layout.
  public var fill: @Sendable (Site, _ rank: Int) -> (down: Fill, up: Fill)

  public enum Scaling: String, Sendable, CaseIterable {
    /// alpha/rank.
    case standard
    /// alpha/√rank: activations and gradients of the branch keep their size as the rank grows [arXiv:2312.03732].
    case rslora
  }

  public init(
    rank: Int, alpha: Double, scaling: Scaling = .standard, dropout: Double = 0, hasBias: Bool = false,
    rankPattern: SitePatterns = SitePatterns(), alphaPattern: SitePatterns = SitePatterns(), allowsExcessRank: Bool = false
  ) {
    self.rank = rank
    self.alpha = alpha
    self.scaling = scaling
    self.dropout = dropout
    self.hasBias = hasBias
    self.rankPattern = rankPattern
    self.alphaPattern = alphaPattern
    self.allowsExcessRank = allowsExcessRank
    fill = { site, _ in (.uniform(bound: 1 / Double(site.inputs).squareRoot()), .zeros) }
  }

  public func rank(at site: Site) -> Int { rankPattern[site].flatMap { Int(exactly: $0) } ?? rank }

  /// s at a site.
  public func scale(at site: Site) -> Double {
    let (rank, alpha) = (Double(rank(at: site)), alphaPattern[site] ?? alpha)
    return scaling == .rslora ? alpha / rank.squareRoot() : alpha / rank
  }

  public func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    for (name, patterns) in [("rank_pattern", rankPattern), ("alpha_pattern", alphaPattern)] {
      if let pattern = patterns.unmatched(by: sites) {
        throw Refusal("\(name): '\(pattern)' matches no adapted site", remedy: "correct or remove it")
      }
    }
    let most = sites.filter { rankPattern[$0] == nil }.map { min($0.inputs, $0.outputs) }.min() ?? 1
    var specs: [TensorSpec] = []
    for site in sites {
      if let value = rankPattern[site], !LowRank.ranks.contains(Int(exactly: value) ?? 0) {
        throw Refusal(
          "rank_pattern gives \(site.id) the rank \(value)", remedy: "use an integer from 1 to \(LowRank.ranks.upperBound)")
      }
      let rank = rank(at: site)
      guard allowsExcessRank || rank <= min(site.inputs, site.outputs) else {
        throw Refusal(
          "rank \(rank) exceeds what \(site.id) [\(site.outputs), \(site.inputs)] can use",
          remedy: "use at most \(most), or, with a random start, allow_excess_rank: true")
      }
      if site.kind == .embedding {
        specs += try table(site, rank)
        continue
      }
      let pair = Pair(site.id.path)
      let fill = fill(site, rank)
      specs.append(.init(TensorKey("lora_A.weight", site.id), [rank, site.inputs], .down(hasBias ? nil : pair), fill: fill.down))
      specs.append(.init(TensorKey("lora_B.weight", site.id), [site.outputs, rank], .up(hasBias ? nil : pair), fill: fill.up))
      if hasBias { specs.append(.init(TensorKey("lora_B.bias", site.id), [site.outputs], .bias)) }
    }
    return specs
  }

  public func change(at site: Site, _ t: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    let (scale, pair) = (scale(at: site), hasBias || site.kind == .embedding ? nil : Pair(site.id.path))
    let names = Self.names(at: site)
    let (down, up) = (t[names.down, site.id], t[names.up, site.id])
    return WeightChange(
      chains: [[Matrix(up, scale: scale, pair: pair), Matrix(down, pair: pair)]],
      bias: t.optional("lora_B.bias", site.id).map { $0 * scale })
  }
}

// Embedding tables: E[t] + s·A[:, t]ᵀ·Bᵀ, a map of one-hot rows.
extension LowRank {
  public var servesTables: Bool { true }

  /// What the factors of a site are called.
  public static func names(at site: Site) -> (down: String, up: String) {
    site.kind == .embedding ? ("lora_embedding_A", "lora_embedding_B") : ("lora_A.weight", "lora_B.weight")
  }

  /// The roles at the start are turned round: A = 0, and B ~ N(0, 1), so that a token's row has a gradient when it is met.
  private func table(_ site: Site, _ rank: Int) throws(Refusal) -> [TensorSpec] {
    guard !hasBias else { throw Refusal("\(site.id) is an embedding table, which takes no bias", remedy: "use bias: false") }
    let names = Self.names(at: site)
    return [
      .init(TensorKey(names.down, site.id), [rank, site.inputs], .down(nil)),
      .init(TensorKey(names.up, site.id), [site.outputs, rank], .up(nil), fill: .normal(deviation: 1)),
    ]
  }
}

extension LowRank: Approximating {
  /// B·A is the best approximation of M/s that the rank allows, its singular values shared out evenly: A = √σ·Vᵀ, B = U·√σ.
  public func approximate(
    _ target: Target, at site: Site, _ layout: [TensorSpec], _ derived: Tensors, _ random: Philox
  ) throws(Refusal) -> Approximation {
    let scale = scale(at: site)
    guard scale > 0 else {
      throw Refusal(
        "\(site.id) is scaled by \(scale), so no pair comes near a target", remedy: "use an alpha above 0")
    }
    let best = try BestPair(rank(at: site), of: target, random)
    var tensors = layout.filled(Moment())
    let root = (1 / scale).squareRoot()
    let drawn = tensors["lora_A.weight", site.id] * (1 / root)
    let (up, down) = best.balanced(to: rank(at: site), drawn: drawn)
    tensors["lora_A.weight", site.id] = (down * root).converted(to: .float32)
    tensors["lora_B.weight", site.id] = (up * root).converted(to: .float32)
    return Approximation(tensors, error: best.error, isBest: best.isBest)
  }
}

/// Values for sites of which a path matches a pattern: the pattern as a whole, or behind a dot.
public struct SitePatterns: Sendable {
  private let entries: [(pattern: String, value: Double)]
  /// Which entry a site has, by its path: asked for at every site in every pass, where expressions would cost more than the products.
  private let found = Found()

  private final class Found: Sendable {
    let entries = Mutex<[String: Double?]>([:])
  }

  /// Where several patterns match one path, the longest wins.
  public init(_ table: [String: Double] = [:]) {
    entries = table.map { ($0.key, $0.value) }.sorted {
      ($1.pattern.count, $0.pattern) < ($0.pattern.count, $1.pattern)
    }
  }

  public subscript(site: Site) -> Double? {
    if entries.isEmpty { return nil }
    let path = site.id.path
    if let known = found.entries.withLock({ $0[path] }) { return known }
    let value = entries.first { matches($0.pattern, site) }?.value
    found.entries.withLock { $0[path] = .some(value) }
    return value
  }

  /// The first pattern that no site has, in the order of the alphabet.
  public func unmatched(by sites: [Site]) -> String? {
    entries.map(\.pattern).sorted().first { pattern in !sites.contains { matches(pattern, $0) } }
  }

  private func matches(_ pattern: String, _ site: Site) -> Bool { site.paths.contains { matches(pattern, $0) } }

  /// `^(.*\.)?(pattern)$`, as PEFT reads a pattern.
  private func matches(_ pattern: String, _ path: String) -> Bool {
    if path == pattern || path.hasSuffix("." + pattern) { return true }
    // Most patterns are names and paths: of those the point alone is an operator, and stands for any character.
    let isName = pattern.utf8.allSatisfy {
      $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".") || (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20)
    }
    if isName {
      let end = path.utf8.suffix(pattern.utf8.count)
      let isBorder = end.startIndex == path.startIndex || path.utf8[path.utf8.index(before: end.startIndex)] == UInt8(ascii: ".")
      return isBorder && end.count == pattern.utf8.count
        && zip(end, pattern.utf8).allSatisfy { $0 == $1 || $1 == UInt8(ascii: ".") }
    }
    return (try? PathPattern("(.*\\.)?(\(pattern))"))?.matches(path) ?? false
  }
}

extension LowRank {
  /// Ranks whose factors have a size that can be counted, whatever the site.
  static let ranks = 1...1 << 20

  /// The options that make one, with the names others use.
  public static let options: [OptionSpec] = [
    OptionSpec("rank", .integer(ranks), default: .int(8), "rank of the update", aliases: [.init("r"), .init("lora_rank")]),
    OptionSpec(
      "alpha", .number(-Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude), default: .double(8),
      "numerator of the scale", aliases: [.init("lora_alpha")]),
    OptionSpec(
      "scaling", .choice(Scaling.allCases.map(\.rawValue)), default: .string("standard"),
      "alpha/rank (standard) or alpha/√rank (rslora)",
      aliases: [.init("use_rslora", [.bool(true): .string("rslora"), .bool(false): .string("standard")])]),
    OptionSpec(
      "dropout", .number(0...1, belowUpper: true), default: .double(0), "dropout on the branch's input, in training",
      aliases: [.init("lora_dropout")]),
    OptionSpec("bias", .boolean, default: .bool(false), "whether B has a bias", aliases: [.init("lora_bias")]),
    OptionSpec("rank_pattern", .table, default: .map([:]), "rank by site pattern"),
    OptionSpec("alpha_pattern", .table, default: .map([:]), "alpha by site pattern"),
    OptionSpec("allow_excess_rank", .boolean, default: .bool(false), "whether the rank may exceed a site's size"),
  ]

  public init(_ options: Options) throws(Refusal) {
    for name in ["rank_pattern", "alpha_pattern"] {
      for pattern in options.table(name).keys.sorted() where (try? PathPattern(pattern)) == nil {
        throw Refusal("\(name): `\(pattern)` is no regular expression", remedy: "use a site's path, its end, or a pattern of it")
      }
    }
    self.init(
      rank: options.int("rank"), alpha: options.double("alpha"),
      scaling: Scaling(rawValue: options.string("scaling")) ?? .standard, dropout: options.double("dropout"),
      hasBias: options.bool("bias"), rankPattern: SitePatterns(options.table("rank_pattern")),
      alphaPattern: SitePatterns(options.table("alpha_pattern")), allowsExcessRank: options.bool("allow_excess_rank"))
  }

  /// The registered axis.
  public static let definition = AxisDefinition<any Projection>(
    "low-rank", "ΔW = s·B·A at every site", options: options
  ) { (options) throws(Refusal) in try LowRank(options) }
}
