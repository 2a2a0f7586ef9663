import Engine
import PEFTKernel

/// What becomes of a layer's activations until gradients come back to it.
public enum Activations: Sendable, Hashable {
  /// They stay in memory.
  case kept
  /// Only the layer's input stays, and the layer is computed a second time: activation checkpointing.
  case recomputed
}

extension ModelRun {
  /// A layer from its input `x` on. The last one's activations stay in any case: its gradients are the next thing asked for.
  func layer(_ x: Tensor, isLast: Bool, _ body: @escaping (_ x: Tensor, _ run: ModelRun) -> Tensor) -> Tensor {
    guard activations == .recomputed, !isLast, cache == nil else { return body(x, self) }
    var run = self
    run.pass = pass.blank
    return pass.recomputing(x) { [run] x, pass in
      var run = run
      run.pass = pass
      if pass.isRepeated { run.observeInput = nil }
      return body(x, run)
    }
  }
}
