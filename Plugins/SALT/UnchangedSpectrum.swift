import PEFTKernel

/// α = 1, β = 0, X ~ U(±√(6/r)), Y = 0 in the basis derived from the weight: step 0 is the base, and ∂X = 0 there.
struct UnchangedSpectrum: InitStrategy {
  func check(_ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection) throws(Refusal) {
    guard projection is Spectrum else {
      throw Refusal("start unchanged-spectrum is that of projection spectrum", remedy: "use init: { use: fill }")
    }
  }

  func start(
    _ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection, _ evidence: Evidence, _ now: Moment
  ) throws(Refusal) -> Start {
    try check(layout, sites, projection)
    return Start(layout.filled(now), notes: (projection as? Spectrum)?.notes(over: sites) ?? [])
  }

  static let definition = AxisDefinition<any InitStrategy>(
    "unchanged-spectrum", "the weight's own spectrum: scale 1, shift 0, X drawn, Y = 0"
  ) { (_) throws(Refusal) in UnchangedSpectrum() }
}

extension Spectrum {
  /// What is wasteful, though it works.
  func notes(over sites: [Site]) -> [String] {
    let wasteful = sites.filter { (1..<rank).contains(sizes(at: $0).rest) }
    guard let site = wasteful.first else { return [] }
    let more = wasteful.count > 1 ? " and of \(wasteful.count - 1) more" : ""
    return ["r is \(rank), more than the \(sizes(at: site).rest) directions below the top of \(site.id)\(more) can use"]
  }
}
