import PEFTKernel

/// Two low-rank factors of one site in a layout: what starts written for factors look for, whatever the projection.
public struct FactorPair: Sendable {
  /// A [rank, inputs].
  public let down: TensorSpec
  /// B [outputs, rank].
  public let up: TensorSpec

  public var rank: Int { down.shape[0] }

  /// The pair that promises to occur only as its product, or nil: a bias on B, say, stands in the way.
  public var pair: Pair? {
    guard case (.down(let a?), .up(let b?)) = (down.role, up.role), a == b else { return nil }
    return a
  }
}

extension [TensorSpec] {
  /// Every pair of factors of a site: one where the site's weight is changed as a whole, several where its parts are.
  public func pairs(at site: SiteID) -> [FactorPair] {
    let own = filter { $0.key.scope == .site(site) }
    let ups = own.filter(\.role.isUp)
    let pairs = own.filter(\.role.isDown).compactMap { down -> FactorPair? in
      guard case .down(let pair?) = down.role else { return nil }
      return ups.first { $0.role == .up(pair) }.map { FactorPair(down: down, up: $0) }
    }
    return pairs.isEmpty ? factors(at: site).map { [$0] } ?? [] : pairs
  }

  /// The factors of a site, nil where it has none.
  public func factors(at site: SiteID) -> FactorPair? {
    let own = filter { $0.key.scope == .site(site) }
    guard let down = own.first(where: { $0.role.isDown }), let up = own.first(where: { $0.role.isUp }) else { return nil }
    return FactorPair(down: down, up: up)
  }
}

extension Role {
  public var isDown: Bool { if case .down = self { true } else { false } }

  public var isUp: Bool { if case .up = self { true } else { false } }
}
