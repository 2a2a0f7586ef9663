import Engine
import Models
import PEFTKernel

/// Measures what a run's training step costs on this machine: time, what it is spent on, memory. Writes nothing.
public struct StepBench: Sendable {
  /// Steps before the clock starts: they read weights from the disk and fill the pool.
  public var warmUp: Int
  /// Steps that are timed.
  public var steps: Int

  public init(warmUp: Int = 3, steps: Int = 10) {
    self.warmUp = warmUp
    self.steps = steps
  }

  /// Starts the run's adapter and takes its first steps; `seen` is told how many are done.
  public func measure(_ session: RunSession, seen: (_ steps: Int) -> Void = { _ in }) throws -> StepMeasurement {
    // Before everything else and once more behind it: what is measured in between must find the pool as a run would.
    let rateBefore = Measurement.productRate(parallel: true)
    MemoryUsage.trim()
    let clock = ContinuousClock()
    MemoryUsage.resetPeak()
    let (before, began) = (MemoryUsage.current.inUse, clock.now)
    let trainer = try session.trainer(for: session.startedAdapter())
    let startSeconds = (clock.now - began) / .seconds(1)
    let startPeak = MemoryUsage.current.peak

    var firstLoss: Double?
    for step in 0..<warmUp {
      let report = try trainer.takeStep()
      firstLoss = firstLoss ?? report.loss
      seen(step + 1)
    }
    MemoryUsage.resetPeak()
    let blocks = MemoryUsage.current.allocations
    var timed: [StepMeasurement.Step] = []
    for step in 0..<steps {
      let start = clock.now
      let (report, phases) = try PhaseClock.measure { try trainer.takeStep() }
      firstLoss = firstLoss ?? report.loss
      timed.append(.init(tokens: report.tokens, seconds: (clock.now - start) / .seconds(1), phases: phases))
      seen(warmUp + step + 1)
    }
    let newBlocks = MemoryUsage.current.allocations - blocks
    let memory = MemoryPlan(session, trainer, peaks: [(.step, MemoryUsage.current.peak), (.start, startPeak)])
    let processPeak = ProcessMemory.current?.peak
    let evidence = session.given == nil ? try session.evidenceStage().bytes : 0
    let rate = max(rateBefore, Measurement.productRate(parallel: true))
    MemoryUsage.trim()
    return StepMeasurement(
      run: Self.facts(session, timed, firstLoss ?? .nan), steps: timed,
      linearWork: StepMeasurement.linearWork(session.model, trainsBase: session.parameterization.trainable.base),
      machineRate: rate, start: .init(seconds: startSeconds, bytes: startPeak - before, evidence: evidence), memory: memory,
      processPeak: processPeak, blocks: newBlocks)
  }

  /// What was measured, without the places where it lies.
  private static func facts(
    _ session: RunSession, _ steps: [StepMeasurement.Step], _ firstLoss: Double
  ) -> [BenchRecord.Fact] {
    let tokens = Set(steps.map(\.tokens)).sorted()
    let extent = tokens.count > 1 ? "\(tokens[0]) to \(tokens[tokens.count - 1])" : "\(tokens.first ?? 0)"
    return BenchRecord.facts(of: session.model) + [
      .init("data", session.batches.digest), .init("tokens of a step", extent), .init("sites", "\(session.sites.count)"),
      // Whoever made the step faster did not make it another one.
      .init("loss of the first step", "\((firstLoss * 1e4).rounded() / 1e4)"),
    ] + session.file.settings(of: session.entry).map { .init($0.key, $0.value) }
  }
}
