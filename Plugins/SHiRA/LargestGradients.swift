import Blocks
import Engine
import PEFTKernel

/// Zeros at the places of the k largest of Ḡ, or |W| ∘ Ḡ, with Ḡ the mean of |∂L/∂W| over some batches [SHiRA-Grad and SHiRA-SNIP,
/// arXiv:2406.13175]: entries that every batch pulls at, if not in the same direction. Of equal scores the first in row-major order
/// counts as larger.
struct LargestGradients: InitStrategy {
  enum Score: String, CaseIterable {
    /// Ḡ.
    case gradient
    /// |W| ∘ Ḡ: what the loss would change by, to first order, if the entry were 0.
    case product
  }

  var score: Score
  var amount: Evidence.Amount

  var wants: Evidence.Wants { .init(gradients: amount, magnitudes: true) }

  func check(_ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection) throws(Refusal) {
    guard let projection = projection as? any ChoosingEntries else {
      throw Refusal(
        "start largest-gradients chooses entries of the weight", remedy: "use it with projection sparse-high-rank or masked")
    }
    try projection.checkPlacesAreFree(layout, for: "largest-gradients")
  }

  func start(
    _ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection, _ evidence: Evidence, _ now: Moment
  ) throws(Refusal) -> Start {
    try check(layout, sites, projection)
    var tensors = Tensors()
    for site in sites {
      guard let spec = layout.first(where: { $0.key == TensorKey(MaskedEntries.values, site.id) }) else {
        throw Refusal("start largest-gradients finds no entries at \(site.id)")
      }
      let gradient = try evidence.usableGradient(at: site, for: "largest-gradients").converted(to: .float64)
      let scores = score == .gradient ? gradient : gradient * evidence.weight(site.id).converted(to: .float64)
      guard scores.isFinite else { throw Refusal("the weight of \(site.id) is not finite", remedy: "check the base") }
      tensors[MaskedEntries.values, site.id] = .zeros([spec.count])
      tensors[MaskedEntries.indices, site.id] = Support.largest(spec.count, of: scores * scores).index
    }
    return Start(tensors)
  }

  static let definition = AxisDefinition<any InitStrategy>(
    "largest-gradients", "zeros at the places of the largest gradients of the first batches",
    options: [
      OptionSpec(
        "score", .choice(Score.allCases.map(\.rawValue)), default: .string("gradient"),
        "the gradient, or its product with the weight"),
      OptionSpec("batches", .integer(1...65_536), default: .int(8), "batches over which magnitudes are averaged"),
      OptionSpec("batch_size", .integer(1...65_536), default: .int(4), "rows of each such batch"),
    ]
  ) { (options) throws(Refusal) in
    LargestGradients(
      score: Score(rawValue: options.string("score")) ?? .gradient,
      amount: .init(.batches(options.int("batches")), batchSize: options.int("batch_size")))
  }
}
