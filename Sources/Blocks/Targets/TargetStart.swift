import Engine
import PEFTKernel

/// A start that is a matrix: each site's change begins as near to the target as its projection comes.
///
/// What a target is stands in a file of its own beside this one; how near a projection comes is the projection's to say
/// (`Approximating`). The two know nothing of each other, so every target goes with every such projection.
public protocol TargetStart: InitStrategy {
  /// The word for it in YAML.
  static var name: String { get }
  /// Whether the start's change is taken off the base, so that step 0 keeps its function.
  var keepsFunction: Bool { get }
  /// Whether the projection's scale is divided out of the tensors, so that the change itself is near the target.
  var dividesScale: Bool { get }
  /// What the change at a site is to begin as.
  func target(at site: Site, _ evidence: Evidence) throws(Refusal) -> Target
  /// Refuses sites that have no such target, before anything runs.
  func check(_ site: Site) throws(Refusal)
}

extension TargetStart {
  public var dividesScale: Bool { true }

  public var startLaw: StartLaw { keepsFunction ? .base : .near }

  public func check(_ site: Site) throws(Refusal) {}

  public func check(_ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection) throws(Refusal) {
    _ = try approximating(projection)
    for site in sites { try check(site) }
  }

  public func start(
    _ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection, _ evidence: Evidence, _ now: Moment
  ) throws(Refusal) -> Start {
    let projection = try approximating(projection)
    var (start, offset) = (Start(layout.filled(now)), Tensors())
    // No site knows of another, so each may have a core of its own.
    let found = Threads.map(sites.count) { near(sites[$0], layout, projection, evidence, now) }
    for (site, near) in zip(sites, found) {
      let (near, notes) = try near.get()
      start.notes += notes
      start.tensors.values.merge(near.tensors.values) { $1 }
      // In memory of its own: optimizers move tensors in place.
      guard keepsFunction else { continue }
      offset.values.merge(near.tensors.values.mapValues { $0.copied() }) { $1 }
      let derived = evidence.derived.values.filter { $0.key.scope == .site(site.id) }
      offset.values.merge(derived) { own, _ in own }
    }
    if keepsFunction { start.offset = offset }
    if keepsFunction, projection.dropout > 0 {
      start.notes.append(
        "dropout \(projection.dropout) also drops what the base gave up to the adapter: best is 0 with this start")
    }
    return start
  }

  private typealias Near = (approximation: Approximation, notes: [String])

  /// The start of one site.
  private func near(
    _ site: Site, _ layout: [TensorSpec], _ projection: any Approximating, _ evidence: Evidence, _ now: Moment
  ) -> Result<Near, Refusal> {
    do throws(Refusal) {
      var notes: [String] = []
      let own = layout.filter { $0.key.scope == .site(site.id) }
      var target = try target(at: site, evidence)
      let scale = projection.scale(at: site)
      if !dividesScale, scale != 1 {
        target.matrix = target.matrix * scale
        notes.append("at \(site.id) the change starts at \(scale) times the \(Self.name): a scale of 1 would meet it")
      }
      let random = now.random("start").stream("\(site.id).\(Self.name)")
      let near = try projection.approximate(target, at: site, own, evidence.derived, random)
      if near.error > 0.999 * target.metric.length(of: target.matrix) {
        notes.append("at \(site.id) the projection reaches none of the \(Self.name) it was to start from")
      }
      return .success((near, notes))
    } catch {
      return .failure(error)
    }
  }

  private func approximating(_ projection: any Projection) throws(Refusal) -> any Approximating {
    guard let projection = projection as? any Approximating else {
      throw Refusal(
        "start \(Self.name) begins near a matrix, but the change of this projection is not linear in one set of its tensors, "
          + "so no formula finds the nearest one", remedy: "use the projection's own start, such as init: { use: fill }")
    }
    return projection
  }
}
