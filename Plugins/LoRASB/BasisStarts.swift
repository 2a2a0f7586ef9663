import Blocks
import Engine
import PEFTKernel

/// Sets the two bases and leaves R, nearly zero, to the layout: step 0 is the base but for a hair.
struct BasisStart: InitStrategy {
  enum Basis: String, CaseIterable {
    /// B = U_r, A = diag(σ_1…σ_r)·V_rᵀ of the weight [LoRA-XS].
    case weight = "singular-basis"
    /// Orthonormal directions that know nothing of the weight: the ablation.
    case random = "random-basis"
  }

  let basis: Basis

  var startLaw: StartLaw { .near }

  func check(_ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection) throws(Refusal) {
    guard projection is CoreBetweenBases else {
      throw Refusal(
        "start \(basis.rawValue) sets the two bases around a core, which this projection does not have",
        remedy: "use projection core")
    }
  }

  func start(
    _ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection, _ evidence: Evidence, _ now: Moment
  ) throws(Refusal) -> Start {
    var tensors = layout.filled(now)
    for site in sites {
      guard let pair = layout.factors(at: site.id) else { continue }
      let random = now.random("start").stream("\(site.id).\(basis.rawValue)")
      let (up, down) = try bases(site, pair.rank, evidence, random)
      tensors[pair.up.key] = up.converted(to: .float32)
      tensors[pair.down.key] = down.converted(to: .float32)
    }
    return Start(tensors)
  }

  private func bases(_ site: Site, _ rank: Int, _ evidence: Evidence, _ random: Philox) throws(Refusal) -> (Tensor, Tensor) {
    switch basis {
    case .weight:
      let spectrum = try Spectral.leading(rank, of: evidence.weight(site.id), random)
      return (spectrum.u, spectrum.v.multipliedByColumn(Tensor(spectrum.s, shape: [rank], spectrum.v.scalar)))
    case .random:
      var random = random
      let columns = random.normal([site.outputs, rank], deviation: 1, .float64)
      let rows = random.normal([site.inputs, rank], deviation: 1, .float64)
      do { return (try LinearAlgebra.qr(columns).q, try LinearAlgebra.qr(rows).q.transposed) } catch { throw Refusal("\(error)") }
    }
  }

  static let definitions = [
    definition(.weight, "B and A from the weight's singular vectors; R nearly zero", ["weight_svd"]),
    definition(.random, "B and A random and orthonormal; R nearly zero", []),
  ]

  private static func definition(_ basis: Basis, _ summary: String, _ aliases: [String]) -> AxisDefinition<any InitStrategy> {
    AxisDefinition(basis.rawValue, summary, aliases: aliases.map { .string($0) }) { (_) throws(Refusal) in
      BasisStart(basis: basis)
    }
  }
}
