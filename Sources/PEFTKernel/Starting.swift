import Engine

extension Parameterization {
  /// The start of every tensor of `layout`, in the order the evidence allows: what follows from the bases first; then all at once
  /// where nothing else is to be seen, else what the sites share, then site by site.
  ///
  /// `evidence` holds what the strategy asked for; a site's is let go as soon as the site has started.
  public func start(
    _ layout: [TensorSpec], _ sites: [Site], on bases: Bases, _ evidence: inout Evidence, _ now: Moment
  ) throws(Refusal) -> Start {
    var whole = Start(Tensors())
    func derived(at site: Site) throws(Refusal) -> Tensors {
      let own = layout.filter { $0.key.scope == .site(site.id) }
      let made = try projection.derive(own, at: site, on: bases[site.id])
      whole.tensors.values.merge(made.values) { $1 }
      return made
    }
    func started(_ specs: [TensorSpec], _ sites: [Site], _ evidence: Evidence) throws(Refusal) {
      let left = specs.filter { evidence.derived.values[$0.key] == nil }
      whole.merge(try initialization.start(left, sites, projection, evidence, now))
    }
    if initialization.wants == .nothing {
      var seen = evidence
      for site in sites { seen.derived.values.merge(try derived(at: site).values) { $1 } }
      try started(layout, sites, seen)
      return whole
    }
    let shared = layout.filter { $0.key.scope == .model }
    if !shared.isEmpty { try started(shared, sites, evidence) }
    for site in sites {
      var own = evidence.take(site.id)
      own.derived = try derived(at: site)
      try started(layout.filter { $0.key.scope == .site(site.id) }, [site], own)
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
