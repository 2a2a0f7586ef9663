import Engine

extension Parameterization {
  /// The start of every tensor of `layout`, in the order the evidence allows: at once where none is wanted, else what the
  /// sites share, then site by site.
  ///
  /// `gradients` holds the evidence the strategy asked for; a site's is let go as soon as the site has started.
  public func start(
    _ layout: [TensorSpec], _ sites: [Site], weight: @escaping @Sendable (SiteID) -> Tensor,
    gradients: inout [SiteID: Tensor], _ now: Moment
  ) throws(Refusal) -> Start {
    if initialization.wants == .nothing {
      return try initialization.start(layout, sites, projection, Evidence(weight: weight), now)
    }
    var whole = Start(Tensors())
    let shared = layout.filter { $0.key.scope == .model }
    if !shared.isEmpty {
      whole.merge(try initialization.start(shared, sites, projection, Evidence(weight: weight, gradients: gradients), now))
    }
    for site in sites {
      let own = layout.filter { $0.key.scope == .site(site.id) }
      var evidence = Evidence(weight: weight)
      evidence.gradients[site.id] = gradients.removeValue(forKey: site.id)
      whole.merge(try initialization.start(own, [site], projection, evidence, now))
    }
    return whole
  }
}

extension Start {
  /// Takes in the start of other tensors.
  mutating func merge(_ other: Start) {
    tensors.values.merge(other.tensors.values) { $1 }
    notes += other.notes
    guard let taken = other.offset else { return }
    offset = Tensors((offset?.values ?? [:]).merging(taken.values) { $1 })
  }
}
