extension Tensor {
  /// Differentiates this scalar with respect to every tracked leaf it depends on, adding to the leaves' gradients.
  ///
  /// The history is consumed: saved activations are freed as soon as their operation is done, and no part of it can be
  /// differentiated again.
  public func backward() {
    precondition(count == 1, "backward of a tensor of shape \(shape): only scalars have gradients without a seed")
    Tensor.backward([(self, Tensor(repeating: 1, shape: shape, scalar))])
  }

  /// Differentiates Σ ⟨output, seed⟩.
  public static func backward(_ outputs: [(output: Tensor, seed: Tensor)]) {
    let gradients = Gradients()
    var roots: [Node] = []
    for (output, seed) in outputs {
      guard let node = output.node else { continue }
      gradients.add(node, seed)
      roots.append(node)
    }
    Node.differentiate(roots, gradients)
  }

  /// Differentiates ⟨output, seed⟩ for the output of which `node` is the history.
  static func backward(from node: Node, _ seed: Tensor) {
    let gradients = Gradients()
    gradients.add(node, seed)
    Node.differentiate([node], gradients)
  }
}

extension Node {
  /// Takes the gradients of `roots` back to the leaves, and to nodes in `border`, which wait for more.
  static func differentiate(_ roots: [Node], _ gradients: Gradients, within border: Set<ObjectIdentifier> = []) {
    for node in reverseOrder(of: roots, within: border) where !node.isLeaf { node.differentiate(gradients) }
  }

  private func differentiate(_ gradients: Gradients) {
    defer {
      backward = nil
      sources = []
      gradient = nil
    }
    guard let gradient else { return }
    guard let backward else { preconditionFailure("an operation on a value of shape \(shape) is differentiated twice") }
    self.gradient = nil
    if let phase { phase.spent { backward(gradient, gradients) } } else { backward(gradient, gradients) }
  }

  /// Every node the roots depend on, each before its sources.
  private static func reverseOrder(of roots: [Node], within border: Set<ObjectIdentifier>) -> [Node] {
    var order: [Node] = []
    var seen = border
    for root in roots where seen.insert(ObjectIdentifier(root)).inserted {
      var stack: [(node: Node, next: Int)] = [(root, 0)]
      while let (node, next) = stack.last {
        if next < node.sources.count {
          stack[stack.count - 1].next += 1
          let source = node.sources[next]
          if seen.insert(ObjectIdentifier(source)).inserted { stack.append((source, 0)) }
        } else {
          order.append(node)
          stack.removeLast()
        }
      }
    }
    return order.reversed()
  }
}
