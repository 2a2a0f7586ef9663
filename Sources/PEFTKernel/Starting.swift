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
      try complete(&whole, layout, sites, bases)
      return whole
    }
    let shared = layout.filter { $0.key.scope == .model }
    if !shared.isEmpty { try started(shared, sites, evidence) }
    // As many at once as there are cores: what is taken out of the evidence is let go when these have started.
    for first in stride(from: 0, to: sites.count, by: Threads.count) {
      let some = Array(sites[first..<min(sites.count, first + Threads.count)])
      var seen: [Evidence] = []
      for site in some {
        var own = evidence.take(site.id)
        own.derived = try derived(at: site)
        seen.append(own)
      }
      let evidences = seen
      let starts = Threads.map(some.count) { siteStart(some[$0], layout, evidences[$0], now) }
      for start in starts { whole.merge(try start.get()) }
    }
    try complete(&whole, layout, sites, bases)
    return whole
  }

  /// The start of one site, from its own evidence.
  private func siteStart(_ site: Site, _ layout: [TensorSpec], _ evidence: Evidence, _ now: Moment) -> Result<Start, Refusal> {
    let own = layout.filter { $0.key.scope == .site(site.id) && evidence.derived.values[$0.key] == nil }
    do throws(Refusal) {
      return .success(try initialization.start(own, [site], projection, evidence, now))
    } catch {
      return .failure(error)
    }
  }

  /// Lets the projection add what follows from the start, beside the base as the start leaves it.
  private func complete(_ start: inout Start, _ layout: [TensorSpec], _ sites: [Site], _ bases: Bases) throws(Refusal) {
    // What is taken away has every tensor that the adapter has.
    for spec in layout where start.offset != nil && start.offset?.values[spec.key] == nil {
      start.offset?.values[spec.key] = start.tensors.values[spec.key]?.copied()
    }
    let frozen = Bases(bases, less: try taken(start.offset, sites, bases, Moment()))
    for site in sites { start.merge(try projection.complete(start.tensors, at: site, on: frozen[site.id])) }
  }

  /// What an offset's tensors take away from the bases, by site.
  func taken(_ offset: Tensors?, _ sites: [Site], _ bases: Bases, _ now: Moment) throws(Refusal) -> [SiteID: WeightChange] {
    guard let offset else { return [:] }
    let start = projection.prepare(offset, now, bases)
    var changes: [SiteID: WeightChange] = [:]
    for site in sites { changes[site.id] = try projection.change(at: site, start, on: bases[site.id]) }
    return changes
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
