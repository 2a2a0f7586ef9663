import Engine

/// The second axis: where the trainable numbers start, and what must be looked at first.
public protocol InitStrategy: Sendable {
  var wants: Evidence.Wants { get }
  var startLaw: StartLaw { get }
  /// Whether it leaves the tensors of embedding tables to start as their layout says.
  var servesTables: Bool { get }
  /// Refuses layouts and projections this start cannot serve, before anything runs.
  func check(_ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection) throws(Refusal)
  /// The start of the tensors in `layout`. Called once per site as soon as its evidence is complete; model-wide tensors
  /// and everything that needs no evidence come in one call with all sites.
  func start(_ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection, _ evidence: Evidence, _ now: Moment)
    throws(Refusal) -> Start
}

extension InitStrategy {
  public var wants: Evidence.Wants { .nothing }
  public var startLaw: StartLaw { .base }
  public var servesTables: Bool { false }
  public func check(_ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection) throws(Refusal) {}
}

/// What the adapted function is at step 0.
public enum StartLaw: Sendable, Hashable {
  /// The base's, up to rounding.
  case base
  /// Near the base's but not equal, by design.
  case near
}

/// The start of some tensors; with an offset, the base is lessened by the change that the offset's tensors make.
public struct Start: Sendable {
  public var tensors: Tensors
  /// The tensors whose change is taken away from the base, so that step 0 keeps the base's function.
  public var offset: Tensors?
  /// What the user should know about this start, in words.
  public var notes: [String]

  public init(_ tensors: Tensors, offset: Tensors? = nil, notes: [String] = []) {
    self.tensors = tensors
    self.offset = offset
    self.notes = notes
  }
}

/// Every tensor starts as its layout says.
public struct FillStart: InitStrategy {
  public let startLaw: StartLaw

  public var servesTables: Bool { true }

  public init(startLaw: StartLaw = .base) { self.startLaw = startLaw }

  public func start(
    _ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection, _ evidence: Evidence, _ now: Moment
  ) throws(Refusal) -> Start {
    Start(layout.filled(now))
  }
}

extension [TensorSpec] {
  /// Every tensor as its layout says; each draws from a stream of its own name, so order does not matter.
  public func filled(_ now: Moment, _ scalar: ScalarType = .float32) -> Tensors {
    var tensors = Tensors()
    for spec in self {
      var random = now.random("start").stream(spec.key.description)
      tensors[spec.key] = spec.fill.tensor(spec.shape, &random, scalar)
    }
    return tensors
  }
}
