/// One recorded operation: whom its result depends on, and how a gradient of the result becomes theirs.
final class Node: @unchecked Sendable {
  typealias Backward = (_ dy: Tensor, _ gradients: Gradients) -> Void

  let shape: [Int]
  let scalar: ScalarType
  var sources: [Node]
  /// Nil for leaves, and for operations already differentiated.
  var backward: Backward?
  var gradient: Tensor?
  let isLeaf: Bool
  /// What the time of the way back is charged to.
  let phase: Phase?

  init(shape: [Int], scalar: ScalarType, sources: [Node], backward: Backward?) {
    self.shape = shape
    self.scalar = scalar
    self.sources = sources
    self.backward = backward
    isLeaf = backward == nil
    phase = PhaseClock.current?.phase
  }
}

extension Tensor {
  /// A tensor of the same values from which gradients are wanted.
  public func tracked() -> Tensor {
    var leaf = detached
    leaf.node = Node(shape: shape, scalar: scalar, sources: [], backward: nil)
    return leaf
  }

  /// The gradient that backward passes have added up at this leaf so far.
  public var gradient: Tensor? { node?.gradient }

  /// This value as the result of an operation on `inputs`. Without history among them nothing is kept.
  ///
  /// `backward` must hold on to the `node` of its inputs rather than to tensors whose values it does not need.
  func recorded(_ inputs: [Tensor], _ backward: @escaping Node.Backward) -> Tensor {
    recorded(from: inputs.map(\.node), backward)
  }

  /// The same for inputs of which only the history is left.
  func recorded(from nodes: [Node?], _ backward: @escaping Node.Backward) -> Tensor {
    let sources = nodes.compactMap(\.self)
    guard !sources.isEmpty, !Pause.hides(sources) else { return self }
    var result = self
    result.node = Node(shape: shape, scalar: scalar, sources: sources, backward: backward)
    return result
  }

  /// As `recorded`, but kept even where no input has history: for operations that are asked to look at gradients.
  func recordedAlways(_ inputs: [Tensor], _ backward: @escaping Node.Backward) -> Tensor {
    recordedAlways(from: inputs.map(\.node), backward)
  }

  func recordedAlways(from nodes: [Node?], _ backward: @escaping Node.Backward) -> Tensor {
    let sources = nodes.compactMap(\.self)
    guard !Pause.hides(sources) else { return self }
    var result = self
    result.node = Node(shape: shape, scalar: scalar, sources: sources, backward: backward)
    return result
  }
}

/// Where operations put the gradients of their inputs.
final class Gradients {
  /// Adds `value` to the gradient of `node`; nothing where `node` is nil.
  func add(_ node: Node?, _ value: @autoclosure () -> Tensor) {
    guard let node else { return }
    var value = value()
    assert(value.count == node.shape.reduce(1, *), "gradient \(value.shape) for a value of shape \(node.shape)")
    guard node.gradient != nil else {
      // What leaves is the caller's, to scale in place perhaps: it must not be another leaf's gradient as well.
      if node.isLeaf, !value.isUnique { value = value.copied() }
      node.gradient = Tensor(shape: node.shape, scalar: value.scalar, storage: value.storage, offset: value.offset)
      return
    }
    into(node) { sum, _ in Elementwise.accumulate(sum, value) }
  }

  /// Lets `body` write the gradient of `node`, or add to it when its second argument is true.
  func into(_ node: Node?, _ body: (_ gradient: Tensor, _ accumulate: Bool) -> Void) {
    guard let node else { return }
    guard var existing = node.gradient else {
      let fresh = Tensor(uninitialized: node.shape, node.scalar)
      body(fresh, false)
      node.gradient = fresh
      return
    }
    node.gradient = nil
    // A gradient handed on unchanged by an addition is shared: give this node one of its own before adding to it.
    if !existing.isUnique { existing = existing.copied() }
    body(existing, true)
    node.gradient = existing
  }
}

extension Tensor {
  /// Whether nobody else holds the storage, so that it may be written in place.
  var isUnique: Bool {
    mutating get { isKnownUniquelyReferenced(&storage) }
  }
}
