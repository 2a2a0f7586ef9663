import Engine

/// A method: how the trainable numbers become adapted maps, where they start, and which of them move.
public protocol Parameterization: Sendable {
  var projection: any Projection { get }
  var initialization: any InitStrategy { get }
  var trainable: TrainableSubset { get }
}

/// A parameterization assembled from registered axes.
public struct Assembly: Parameterization {
  public var projection: any Projection
  public var initialization: any InitStrategy
  public var trainable: TrainableSubset

  public init(projection: any Projection, initialization: any InitStrategy, trainable: TrainableSubset) {
    self.projection = projection
    self.initialization = initialization
    self.trainable = trainable
  }
}

/// The first axis, P: how stored numbers become adapted linear maps.
///
/// `prepare` maps stored numbers to the tensors the sites use (θ_D = P·θ_d, where it is not the identity) once per
/// optimizer step; `change` says what those tensors mean for a weight. Forward, gradient, merge, export and serving
/// follow from the change. Only what is no weight change overrides `output`.
///
/// `derive`, `prepare` and `change` are given the base for methods that look at it: those that work in the basis of its
/// spectrum, keep its rows' lengths or act on its output. The others have no use for it.
public protocol Projection: Sendable {
  /// The tensors for these sites, all sites at once, in forward order. Needs shapes only, never weights. There are tables among the
  /// sites only for a projection that serves them.
  func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec]
  /// The tensors of a site that follow from its base alone: directions, lengths. Made before any start.
  func derive(_ layout: [TensorSpec], at site: Site, on base: any BaseMap) throws(Refusal) -> Tensors
  /// The tensors of a site that follow from how its others started and from the base they start beside: the lengths of rows.
  /// Called once, after the start.
  func complete(_ started: Tensors, at site: Site, on base: any BaseMap) throws(Refusal) -> Start
  /// Refuses values that no adapter of this method can have. Names and shapes fit the layout already.
  func check(_ stored: Tensors) throws(Refusal)
  /// The same where what is allowed depends on the sites; asks `check(_:)` unless a method has its own.
  func check(_ stored: Tensors, at sites: [Site]) throws(Refusal)
  /// Stored numbers → what the sites use; runs once per step, and is differentiated once per step.
  func prepare(_ stored: Tensors, _ now: Moment, _ bases: Bases) -> Tensors
  /// What the prepared tensors do to the weight of `site`; refuses where that depends on the input.
  func change(at site: Site, _ prepared: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange
  /// A term [1] that the method adds to the loss, once per step; nil for none.
  func penalty(_ prepared: Tensors, _ now: Moment) -> Tensor?
  /// The adapted output at a site. The default applies `change` beside the base.
  func output(_ call: SiteCall, _ prepared: Tensors) -> Tensor
  /// Whether sites may be embedding tables: the change then has chains alone.
  var servesTables: Bool { get }
  /// Probability with which entries of a branch's input are dropped in training.
  var dropout: Double { get }
  /// The factor of the change at `site` that follows from options, not from tensors: files keep it beside the
  /// tensors, which mean nothing without it.
  func scale(at site: Site) -> Double
}

extension Projection {
  public var dropout: Double { 0 }

  public var servesTables: Bool { false }

  public func scale(at site: Site) -> Double { 1 }

  public func check(_ stored: Tensors) throws(Refusal) {}

  public func check(_ stored: Tensors, at sites: [Site]) throws(Refusal) { try check(stored) }

  public func derive(_ layout: [TensorSpec], at site: Site, on base: any BaseMap) throws(Refusal) -> Tensors { Tensors() }

  public func complete(_ started: Tensors, at site: Site, on base: any BaseMap) throws(Refusal) -> Start { Start(Tensors()) }

  public func prepare(_ stored: Tensors, _ now: Moment, _ bases: Bases) -> Tensors { stored }

  public func penalty(_ prepared: Tensors, _ now: Moment) -> Tensor? { nil }

  public func output(_ call: SiteCall, _ prepared: Tensors) -> Tensor {
    guard let change = try? change(at: call.site, prepared, on: call.base) else {
      preconditionFailure("\(Self.self) has neither a change nor an output of its own")
    }
    return change.output(call, dropout: dropout)
  }
}

extension SiteCall {
  /// The input as a branch beside the base sees it: with dropout while training.
  public func branchInput(_ dropout: Double) -> Tensor {
    guard dropout > 0, pass.now.mode == .training else { return input }
    return input.dropout(dropout, pass.now.random("dropout", site.id))
  }
}

/// No adapter at all: what a method is whose trainable numbers are the base's own.
public struct NoProjection: Projection {
  public init() {}

  public func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] { [] }
  public func change(at site: Site, _ prepared: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange { WeightChange() }
}

/// Why something is not done: the rule, in words a user can act on.
public struct Refusal: Error, Sendable, CustomStringConvertible, Equatable {
  /// What is wrong, with names and values.
  public var reason: String
  /// What to do instead.
  public var remedy: String

  public init(_ reason: String, remedy: String = "") {
    self.reason = reason
    self.remedy = remedy
  }

  public var description: String { remedy.isEmpty ? reason : "\(reason); \(remedy)" }
}
