import Engine
import Models
import PEFTKernel

extension MemoryPlan {
  /// What `trainer`'s run holds, class by class, where the tensors' pool held so many bytes at the peak of each phase, the step's
  /// first.
  init(_ session: RunSession, _ trainer: Trainer, peaks: [(phase: Phase, bytes: Int)]) {
    let parameters = session.model.parameters
    func count(_ shape: [Int]) -> Int { shape.reduce(1, *) }
    let isDrawn = session.file.fromScratch
    let base = parameters.reduce(0) { $0 + (isDrawn ? 4 * count($1.shape) : $1.byteCount) }
    let widened = isDrawn ? 0 : parameters.filter { $0.shape.count == 1 }.reduce(0) { $0 + count($1.shape) * 4 }
    let trainedBase = trainer.trainedBase.values.reduce(0) { $0 + $1.byteCount }
    let gradients = trainer.parameters.reduce(0) { $0 + $1.value.byteCount }
    let adapter = trainer.adapter.layout.reduce(0) { $0 + trainer.adapter.tensors[$1.key].byteCount }
    let trainable = gradients - trainedBase
    let offset = trainer.adapter.offset?.values.values.reduce(0) { $0 + $1.byteCount } ?? 0
    let optimizer = trainer.optimizerBytes
    let seen = trainer.evidenceBytes
    let held = (isDrawn ? base : 0) + widened + trainedBase + adapter + offset + optimizer + gradients + seen
    let step = peaks.first?.bytes ?? 0
    let highest = peaks.reduce((phase: Phase.step, bytes: step)) { $1.bytes > $0.bytes ? $1 : $0 }
    var process = 0
    if let now = ProcessMemory.current {
      let pool = MemoryUsage.current
      // What others than tensors take is more during a step than after it.
      let others = max(now.anonymous + now.mapped - pool.inUse - pool.held, now.peak - pool.highest)
      process = max(0, others - (isDrawn ? 0 : base))
    }
    self.init(
      base: base, widened: widened, trainedBase: trainedBase, trainable: trainable, frozen: adapter - trainable,
      offset: offset, optimizer: optimizer, optimizerEvidence: seen, gradients: gradients, activations: max(0, step - held),
      beyondSteps: highest.bytes - step, process: process, peakPhase: highest.phase, evidence: 0,
      isExtrapolated: false)
  }
}
