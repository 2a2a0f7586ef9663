import Blocks
import Engine
import PEFTKernel

/// Every A and every B from a distribution of its own; all else as the layout says.
struct FactorDraws: InitStrategy {
  let name: String
  let startLaw: StartLaw
  /// Whether B may carry a bias.
  let servesBias: Bool
  let fills: @Sendable (FactorPair) -> (down: Fill, up: Fill)

  init(
    _ name: String, startLaw: StartLaw = .base, servesBias: Bool = true,
    fills: @escaping @Sendable (FactorPair) -> (down: Fill, up: Fill)
  ) {
    self.name = name
    self.startLaw = startLaw
    self.servesBias = servesBias
    self.fills = fills
  }

  /// Of a table A starts at 0 and B is drawn, whatever is drawn elsewhere.
  var servesTables: Bool { true }

  func check(_ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection) throws(Refusal) {
    try requireFactors(of: name, in: layout, sites)
    if !servesBias { try refuseBias(for: name, in: layout) }
  }

  func start(
    _ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection, _ evidence: Evidence, _ now: Moment
  ) throws(Refusal) -> Start {
    var fills: [TensorKey: Fill] = [:]
    for site in sites where site.kind == .linear {
      for pair in layout.pairs(at: site.id) { (fills[pair.down.key], fills[pair.up.key]) = self.fills(pair) }
    }
    let specs = layout.map { spec in
      var spec = spec
      spec.fill = fills[spec.key] ?? spec.fill
      return spec
    }
    return Start(specs.filled(now), notes: scaleNotes(projection, sites))
  }
}

/// Both factors random and non-zero with B·A = 0, which costs half the rank each: with Q [r, r] a random orthogonal
/// matrix, A = (N_A·Q₀,₂,…)ᵀ/10 and B = N_Bᵀ·Q₁,₃,…/10, so that B·A holds Q's odd rows times its even rows, which is 0.
struct OrthogonalFactors: InitStrategy {
  func check(_ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection) throws(Refusal) {
    try requireFactors(of: "orthogonal", in: layout, sites)
    try refuseBias(for: "orthogonal", in: layout)
    for site in sites {
      guard let pair = layout.factors(at: site.id) else { continue }
      guard pair.up.shape.last == pair.rank else {
        throw Refusal(
          "start orthogonal needs both factors of one rank, but those of \(site.id) are \(pair.down.shape) and \(pair.up.shape)",
          remedy: "use init: { use: fill }")
      }
      guard pair.rank % 2 != 0 else { continue }
      throw Refusal(
        "start orthogonal splits the rank in halves, but \(site.id) has rank \(pair.rank)", remedy: "use an even rank")
    }
  }

  func start(
    _ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection, _ evidence: Evidence, _ now: Moment
  ) throws(Refusal) -> Start {
    var tensors = layout.filled(now)
    for site in sites {
      for (index, pair) in layout.pairs(at: site.id).enumerated() {
        // One stream for both: neither factor means anything without the other.
        let random = now.random("start").stream("\(site.id).orthogonal")
        let (down, up) = try draw(pair, index == 0 ? random : random.stream(UInt64(index)))
        tensors[pair.down.key] = down
        tensors[pair.up.key] = up
      }
    }
    return Start(tensors, notes: scaleNotes(projection, sites))
  }

  private func draw(_ pair: FactorPair, _ stream: Philox) throws(Refusal) -> (down: Tensor, up: Tensor) {
    var random = stream
    let (rank, inputs, outputs) = (pair.rank, pair.down.shape[1], pair.up.shape[0])
    let basis: Tensor
    do { basis = try LinearAlgebra.qr(random.normal([rank, rank], deviation: 1, .float64)).q } catch { throw Refusal("\(error)") }
    func everyOther(from first: Int) -> Tensor {
      .joinedRows(stride(from: first, to: rank, by: 2).map { basis.slice(rows: $0..<$0 + 1) })
    }
    let down = random.normal([inputs, rank / 2], deviation: 0.1, .float64).multiplied(by: everyOther(from: 0)).transposed
    let up = random.normal([outputs, rank / 2], deviation: 0.1, .float64).multiplied(by: everyOther(from: 1))
    return (down.converted(to: .float32), up.converted(to: .float32))
  }
}

private func requireFactors(of name: String, in layout: [TensorSpec], _ sites: [Site]) throws(Refusal) {
  guard let bare = sites.first(where: { layout.factors(at: $0.id) == nil }) else { return }
  throw Refusal(
    "start \(name) draws low-rank factors, but this projection gives \(bare.id) none", remedy: "use init: { use: fill }")
}

private func refuseBias(for name: String, in layout: [TensorSpec]) throws(Refusal) {
  guard let bias = layout.first(where: { $0.role == .bias }) else { return }
  throw Refusal(
    "start \(name) does not go with lora_bias (tensor \(bias.key))", remedy: "use init kaiming or random, or bias: false")
}

/// A scale of zero trains nothing, in silence.
private func scaleNotes(_ projection: any Projection, _ sites: [Site]) -> [String] {
  guard sites.contains(where: { projection.scale(at: $0) == 0 }) else { return [] }
  return ["alpha is 0: the adapter changes nothing and no factor receives a gradient"]
}
