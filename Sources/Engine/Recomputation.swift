extension Tensor {
  /// What `first` makes of `inputs`, keeping nothing but these: when gradients come back, `again` makes the same of them once more,
  /// and that is differentiated at once.
  ///
  /// What is used beside the inputs gets its gradient then, and passes it on when its turn comes. A result that is only handed
  /// through stays what it is.
  public static func recomputed(
    from inputs: [Tensor], first: ([Tensor]) -> [Tensor], again: @escaping ([Tensor]) -> [Tensor]
  ) -> [Tensor] {
    let pause = Pause()
    let results = Pause.$current.withValue(pause) { first(inputs) }
    guard pause.hasHidden else { return results }
    let seeds = Seeds()
    let outside = Set(pause.outside.map(ObjectIdentifier.init))
    // Of no size: its gradient says that there are seeds.
    let part = Tensor(uninitialized: [0], .float32).recordedAlways(from: inputs.map(\.node) + pause.outside) {
      [values = inputs.map(\.detached), nodes = inputs.map(\.node)] _, gradients in
      let leaves = zip(values, nodes).map { value, node in node.map { value.standing(for: $0) } ?? value }
      let roots = seeds.sow(Phase.recompute.spentWhole { again(leaves) }, gradients)
      Node.differentiate(roots, gradients, within: outside)
      for (leaf, node) in zip(leaves, nodes) { leaf.handBack(to: node, gradients) }
    }
    return results.enumerated().map { index, result in
      guard !result.hasHistory else { return result }
      return result.recorded([part]) { [node = part.node] dy, gradients in
        seeds[index] = dy
        if node?.gradient == nil { gradients.add(node, Tensor(uninitialized: [0], .float32)) }
      }
    }
  }

  /// A leaf in a node's place: it goes on from the gradient that has come to the node so far, so that sums keep their order.
  private func standing(for node: Node) -> Tensor {
    let leaf = tracked()
    leaf.node?.gradient = node.gradient
    node.gradient = nil
    return leaf
  }

  private func handBack(to original: Node?, _ gradients: Gradients) {
    guard let original, let gradient = node?.gradient else { return }
    node?.gradient = nil
    gradients.add(original, gradient)
  }
}

/// A stretch of work of which nothing is recorded.
// Unchecked: only the task that works in it reaches it.
final class Pause: @unchecked Sendable {
  @TaskLocal static var current: Pause?

  /// Whether something would have been recorded.
  private(set) var hasHidden = false
  /// What that would have been made of: history from before.
  private(set) var outside: [Node] = []
  private var seen: Set<ObjectIdentifier> = []

  /// Whether to record nothing now, with that for its sources.
  static func hides(_ sources: [Node]) -> Bool {
    guard let current else { return false }
    current.hasHidden = true
    for node in sources where current.seen.insert(ObjectIdentifier(node)).inserted { current.outside.append(node) }
    return true
  }
}

/// The gradients of a part's results, until all have come.
private final class Seeds {
  private var values: [Int: Tensor] = [:]

  subscript(index: Int) -> Tensor? {
    get { values[index] }
    set { values[index] = newValue }
  }

  /// Gives `results` their gradients and keeps neither.
  func sow(_ results: [Tensor], _ gradients: Gradients) -> [Node] {
    defer { values = [:] }
    return results.enumerated().compactMap { index, result in
      guard let seed = values[index], let node = result.node else { return nil }
      gradients.add(node, seed)
      return node
    }
  }
}
