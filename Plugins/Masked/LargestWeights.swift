import Blocks
import Engine
import PEFTKernel

/// Zeros at the places of the k largest |W|, or of those that follow them: with `offset` m the ranks m·k + 1 … (m + 1)·k, so that
/// adapters of several tasks share no place [SHiRA-WM, arXiv:2406.13175]. Of equal weights the first in row-major order counts as larger.
struct LargestWeights: InitStrategy {
  /// m.
  var offset: Int

  func check(_ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection) throws(Refusal) {
    guard let projection = projection as? any ChoosingEntries else {
      throw Refusal("start largest-weights chooses entries of the weight", remedy: "use it with projection masked")
    }
    try projection.checkPlacesAreFree(layout, for: "largest-weights")
    for site in sites {
      let (count, all) = (try count(layout, site), site.inputs * site.outputs)
      let fitting = all / count
      guard offset < fitting else {
        throw Refusal(
          "start largest-weights finds no \(count) weights of rank \(offset)·\(count) and below in \(site.id), which has \(all)",
          remedy: fitting == 1 ? "use an offset of 0" : "use an offset of at most \(fitting - 1)")
      }
    }
  }

  private func count(_ layout: [TensorSpec], _ site: Site) throws(Refusal) -> Int {
    guard let spec = layout.first(where: { $0.key == TensorKey(MaskedEntries.values, site.id) }) else {
      throw Refusal("start largest-weights finds no entries at \(site.id)")
    }
    return spec.count
  }

  func start(
    _ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection, _ evidence: Evidence, _ now: Moment
  ) throws(Refusal) -> Start {
    try check(layout, sites, projection)
    var tensors = Tensors()
    for site in sites {
      let count = try count(layout, site)
      let weight = evidence.weight(site.id).converted(to: .float64)
      guard weight.isFinite else { throw Refusal("the weight of \(site.id) is not finite", remedy: "check the base") }
      let support = Support.ranked(offset * count..<(offset + 1) * count, of: weight * weight)
      tensors[MaskedEntries.values, site.id] = .zeros([count])
      tensors[MaskedEntries.indices, site.id] = support.index
    }
    return Start(tensors)
  }

  static let definition = AxisDefinition<any InitStrategy>(
    "largest-weights", "zeros at the places of the largest weights",
    options: [
      OptionSpec(
        "offset", .integer(0...1 << 20), default: .int(0), "how many times k larger weights are passed over",
        aliases: [.init("rank_offset")])
    ], aliases: [.string("wm")]
  ) { (options) throws(Refusal) in LargestWeights(offset: options.int("offset")) }
}
