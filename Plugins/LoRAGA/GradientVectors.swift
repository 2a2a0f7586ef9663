import Blocks
import Engine
import PEFTKernel

/// Starts both factors of a pair on singular vectors of the mean gradient G, and takes their product from the base.
///
/// No singular value of G enters: the start is the same for G and for any positive multiple of it.
struct GradientVectors: InitStrategy {
  var batches: Int
  var batchSize: Int
  var direction: Direction
  var scale: Scale
  /// γ of the stable scale.
  var gamma: Double
  /// Whether an entry of s·B₀·A₀ may be larger than W's largest.
  var clipsNorm: Bool

  /// Which of the first 2r singular vectors start A, and which B.
  enum Direction: String, CaseIterable {
    case ArB2r, A2rBr, ArBr, random
  }

  /// The common length c of all rows of A₀ and columns of B₀.
  enum Scale: String, CaseIterable {
    case stable, gd, unit, weightSVD = "weight_svd"
  }

  var wants: Evidence.Wants { .gradients(batches: batches, batchSize: batchSize) }

  func check(_ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection) throws(Refusal) {
    for site in sites {
      guard let factors = layout.factors(at: site.id), factors.pair != nil, let lowRank = projection as? LowRank else {
        throw Refusal(
          "start gradient-vectors needs a low-rank pair that occurs only as its product, which \(site.id) does not have",
          remedy: "use projection low-rank without bias")
      }
      let side = min(site.outputs, site.inputs)
      guard 2 * factors.rank <= side else {
        throw Refusal(
          "start gradient-vectors takes 2·rank = \(2 * factors.rank) singular vectors, but \(site.id) "
            + "[\(site.outputs), \(site.inputs)] has \(side)",
          remedy: side < 2 ? "exclude the site" : "use a rank of at most \(side / 2)")
      }
      guard lowRank.scale(at: site) > 0 else {
        throw Refusal("start gradient-vectors needs alpha above 0, but \(site.id) has the scale \(lowRank.scale(at: site))")
      }
    }
  }

  func start(
    _ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection, _ evidence: Evidence, _ now: Moment
  ) throws(Refusal) -> Start {
    try check(layout, sites, projection)
    var (tensors, offset, notes) = (Tensors(), Tensors(), [String]())
    for site in sites {
      guard let pair = layout.factors(at: site.id), let lowRank = projection as? LowRank else { continue }
      let random = now.random("start").stream("\(site.id).gradient-vectors")
      let gradient = try usable(evidence.gradients[site.id], at: site)
      let spectrum = try Spectral.leading(2 * pair.rank, of: gradient, random.stream("gradient"))
      if spectrum.s[2 * pair.rank - 1] <= 1e-6 * spectrum.s[0] {
        notes.append(
          "the gradient of \(site.id) has a rank below \(2 * pair.rank): some of its starting vectors are arbitrary")
      }
      let (rows, columns) = indices(pair.rank, random)
      let s = lowRank.scale(at: site)
      let c = try length(pair.rank, s, site, evidence, random)
      var down = Tensor.joinedRows(rows.map { spectrum.v.slice(rows: $0..<$0 + 1) }) * c
      var up = Tensor.joinedColumns(columns.map { spectrum.u.slice(columns: $0..<$0 + 1) }) * c
      if clipsNorm {
        let ratio = evidence.weight(site.id).largestMagnitude / (s * up.multiplied(by: down).largestMagnitude)
        // A weight of zeros would leave nothing to train.
        if ratio < 1, ratio > 0 { (down, up) = (down * ratio.squareRoot(), up * ratio.squareRoot()) }
      }
      (down, up) = (down.converted(to: .float32), up.converted(to: .float32))
      (tensors[pair.down.key], tensors[pair.up.key]) = (down, up)
      // In memory of its own: optimizers move the factors in place.
      (offset[pair.down.key], offset[pair.up.key]) = (down.copied(), up.copied())
    }
    return Start(tensors, offset: offset, notes: notes)
  }

  private func usable(_ gradient: Tensor?, at site: Site) throws(Refusal) -> Tensor {
    guard let gradient else { throw Refusal("no gradient of \(site.id) was recorded, from which gradient-vectors starts") }
    guard gradient.isFinite else {
      throw Refusal("the gradient of \(site.id) is not finite, so its singular vectors do not exist", remedy: "check the data")
    }
    guard gradient.largestMagnitude > 0 else {
      throw Refusal(
        "the gradient of \(site.id) is zero: no direction to start in", remedy: "exclude the site, or use more batches")
    }
    return gradient
  }

  /// The singular vectors of A's rows and of B's columns, from 0.
  func indices(_ rank: Int, _ random: Philox) -> (rows: [Int], columns: [Int]) {
    let all = Array(0..<2 * rank)
    switch direction {
    case .ArB2r: return (Array(all[..<rank]), Array(all[rank...]))
    case .A2rBr: return (Array(all[rank...]), Array(all[..<rank]))
    case .ArBr: return (all.filter { $0 % 2 == 1 }, all.filter { $0 % 2 == 0 })
    case .random:
      var stream = random.stream("direction")
      let order = all.shuffled(using: &stream)
      return (Array(order[..<rank]), Array(order[rank...]))
    }
  }

  /// c. Stable: with c² ~ √out/γ the branch's output neither grows nor fades as the layer widens.
  private func length(_ rank: Int, _ s: Double, _ site: Site, _ evidence: Evidence, _ random: Philox) throws(Refusal) -> Double {
    switch scale {
    case .stable: return Double(site.outputs).squareRoot().squareRoot() / gamma.squareRoot()
    case .gd: return 1 / s
    case .unit: return 1
    case .weightSVD:
      let spectrum = try Spectral.leading(rank, of: evidence.weight(site.id), random.stream("weight"))
      return spectrum.s.reduce(0) { $0 + ($1 / s).squareRoot() } / Double(rank)
    }
  }
}

extension GradientVectors {
  static let definition = AxisDefinition<any InitStrategy>(
    "gradient-vectors", "A and B on different singular vectors of the gradient; the base gives way",
    options: [
      OptionSpec(
        "batches", .integer(1...65_536), default: .int(64), "batches whose gradient is averaged",
        aliases: [.init("gradient_batches")]),
      OptionSpec(
        "batch_size", .integer(1...65_536), default: .int(2), "rows of each such batch", aliases: [.init("gradient_batch_size")]),
      OptionSpec(
        "direction", .choice(Direction.allCases.map(\.rawValue)), default: .string("ArB2r"),
        "which singular vectors start A and which B"),
      OptionSpec(
        "scale", .choice(Scale.allCases.map(\.rawValue)), default: .string("stable"), "the length of the starting vectors"),
      OptionSpec(
        "gamma", .number(0...Double.greatestFiniteMagnitude, aboveLower: true), default: .double(16), "γ of the stable scale",
        aliases: [.init("stable_gamma")]),
      OptionSpec("norm_clip", .boolean, default: .bool(false), "whether s·B₀·A₀ is kept within W's largest entry"),
    ]
  ) { (options) throws(Refusal) in
    GradientVectors(
      batches: options.int("batches"), batchSize: options.int("batch_size"),
      direction: Direction(rawValue: options.string("direction")) ?? .ArB2r,
      scale: Scale(rawValue: options.string("scale")) ?? .stable, gamma: options.double("gamma"),
      clipsNorm: options.bool("norm_clip"))
  }
}
