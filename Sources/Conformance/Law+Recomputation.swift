import Engine
import Models
import PEFTKernel
import Training

extension Law {
  /// Losses, gradients, and energies of pairs, over a step of two micro-batches.
  ///
  /// To the bit, but for gradients of methods whose sites add terms of their own to the loss: a step that keeps everything
  /// differentiates these before the layers, so that sums have another order.
  func recomputation(_ trial: Trial) throws -> [String] {
    let shop = try Workshop(trial)
    let adapter = try shop.movedAdapter()
    func step(_ activations: Activations) throws -> (report: StepReport, seen: GradientRecorder) {
      let recorder = GradientRecorder(wantsEnergies: true)
      let trainer = try shop.trainer(adapter, recorder, accumulation: 2, activations: activations)
      return (try trainer.takeStep(), recorder)
    }
    let (kept, recomputed) = (try step(.kept), try step(.recomputed))
    let tolerance = shop.penalizes(adapter) ? 1e-6 : 0
    var faults: [String] = []
    if kept.report.loss != recomputed.report.loss {
      faults.append("the loss is \(recomputed.report.loss) with recomputed activations, \(kept.report.loss) with kept ones")
    }
    func compare(_ a: [String: [Double]], _ b: [String: [Double]], _ what: String) {
      for name in Set(a.keys).union(b.keys).sorted() where a[name] != b[name] {
        let distance = relativeError(of: b[name] ?? [], from: a[name] ?? [], floor: 0)
        if distance > tolerance {
          faults.append("with recomputed activations, \(what) of \(name) is off that with kept ones by \(distance)")
        }
      }
    }
    compare(kept.seen.gradients, recomputed.seen.gradients, "the gradient")
    compare(kept.seen.energies, recomputed.seen.energies, "what is seen")
    return faults
  }
}
