import Engine
import Models
import PEFTKernel
import Tokenization

/// Measures what the phases of a run take, by doing a little of each: the start, one step, one batch of an evaluation.
///
/// Where the largest batch would take long, two shorter ones are taken, one of twice the other's size: what a
/// pass keeps grows in proportion to its tokens, since attention's scores are computed in blocks and never kept.
struct MemoryProbe {
  /// Seconds the largest batch may take; beyond, shorter ones speak for it.
  static let budget = 16.0
  /// Seconds that may go into doing things again.
  static let patience = 4.0
  /// Tokens of the first, shortest probe.
  static let shortest = 128

  let session: RunSession
  /// Measured; of the phase's largest probe.
  private(set) var secondsPerToken = (step: 0.0, evaluation: 0.0)
  private var startPeak = 0
  private var isExtrapolated = false

  init(_ session: RunSession) { self.session = session }

  /// A trainer at step 0, as the run will have it.
  mutating func start() throws -> Trainer {
    MemoryUsage.resetPeak()
    let adapter = try session.given?.adapter ?? started()
    startPeak = MemoryUsage.current.peak
    return try session.trainer(for: adapter)
  }

  /// As the run does it, but with one batch of evidence, the largest: the memory is that of all.
  private func started() throws -> Adapter {
    try RunSession.told(of: session.file, at: "method") { try session.evidenceStage().probe.start() }
  }

  /// The run's memory. Takes steps with `trainer`, which is of no other use afterwards.
  mutating func plan(_ trainer: Trainer, largest: [Example]) throws -> MemoryPlan {
    // Kept by the pool before a step begins, among it every class that is no file's.
    let steady = MemoryUsage.current.inUse

    let step = try stepPeak(trainer, largest)
    let evaluation = evaluationPeak(trainer)
    let saving = steady + savingBytes(trainer)
    var plan = MemoryPlan(
      session, trainer, peaks: [(.step, step), (.start, startPeak), (.evaluation, evaluation), (.saving, saving)])
    plan.evidence = session.given == nil ? try session.evidenceStage().bytes : 0
    plan.isExtrapolated = isExtrapolated
    return plan
  }
}

// Phases. Each peak is of bytes in the pool, everything that is held through the run included.
extension MemoryProbe {
  private mutating func stepPeak(_ trainer: Trainer, _ largest: [Example]) throws -> Int {
    // The gradients of a first micro-batch are there while the second runs.
    let times = session.file.gradientAccumulation > 1 ? 2 : 1
    func step(_ part: [Example]) throws {
      _ = try trainer.takeStep(over: [Batch](repeating: Batch(part), count: times))
    }
    let (peak, seconds) = try measured(largest, step)
    secondsPerToken.step = seconds / Double(times)
    // Behind steps of other sizes the largest finds blocks that fit it less well: where there is time, a few come first.
    let tokens = times * largest.reduce(0) { $0 + $1.size }
    let affordable = Int(Self.patience / max(1e-9, secondsPerToken.step * Double(tokens))) - 1
    guard affordable > 0, !isExtrapolated else { return peak }
    MemoryUsage.resetPeak()
    for index in 0..<min(8, affordable, session.steps) {
      _ = try trainer.takeStep(over: session.batches.microBatches(at: index))
    }
    try step(largest)
    return max(peak, MemoryUsage.current.peak)
  }

  /// The largest batch of an evaluation, or a text of the length of the longest sample if that is longer.
  private mutating func evaluationPeak(_ trainer: Trainer) -> Int {
    let batches = Evaluation.batches(session.validation).map { Array(session.validation[$0]) }
    func tokens(_ examples: [Example]) -> Int { examples.reduce(0) { $0 + $1.size } }
    var largest = batches.max { tokens($0) < tokens($1) } ?? []
    if let samples = session.file.samples, let tokenizer = session.tokenizer {
      let longest = samples.prompts.map { tokenizer.encode($0).count }.max() ?? 0
      let length = min(session.language?.maximumPositions ?? 0, longest + samples.maxNewTokens)
      if length > tokens(largest) { largest = [Example(ids: [Int32](repeating: 0, count: length))] }
    }
    guard !largest.isEmpty else { return 0 }
    let (peak, seconds) = measured(largest) { [session] in
      _ = Evaluation.of(
        session.objective, adapter: trainer.adapter, trained: trainer.trainedBase, $0, tokensPerBatch: .max)
    }
    secondsPerToken.evaluation = seconds
    return peak
  }

  /// What making the files of a run holds at once: every tensor of an adapter as floats, the largest of a model as doubles
  /// and rounded.
  private func savingBytes(_ trainer: Trainer) -> Int {
    let adapter = trainer.adapter.layout.reduce(0) { $0 + 4 * $1.count }
    return max(adapter, 16 * (trainer.trainedBase.values.map(\.count).max() ?? 0))
  }

  /// The peak of a pass over `examples`, and its seconds per token.
  private mutating func measured(_ examples: [Example], _ pass: ([Example]) throws -> Void) rethrows -> (
    peak: Int, secondsPerToken: Double
  ) {
    func take(_ divisor: Int) throws -> (peak: Int, tokens: Int, seconds: Double) {
      let part = examples.shortened(by: divisor)
      MemoryUsage.resetPeak()
      let clock = ContinuousClock()
      let start = clock.now
      try pass(part)
      return (MemoryUsage.current.peak, part.reduce(0) { $0 + $1.size }, (clock.now - start) / .seconds(1))
    }
    let tokens = examples.reduce(0) { $0 + $1.size }
    var divisor = 1
    while tokens / divisor > Self.shortest { divisor *= 2 }
    // The first pass also reads weights from the disk; a second tells better how long others will take.
    var short = try take(divisor)
    if short.seconds < Self.patience / 4 { short = try take(divisor) }
    func seconds(_ other: Int) -> Double { short.seconds * Double(divisor) / Double(other) }
    var chosen = 1
    while chosen * 2 < divisor, seconds(chosen) > Self.budget { chosen *= 2 }
    if chosen == 1 {
      var whole = divisor == 1 ? short : try take(1)
      if divisor > 1, whole.seconds < Self.patience / 4 { whole = try take(1) }
      return (whole.peak, whole.seconds / Double(max(1, whole.tokens)))
    }
    isExtrapolated = true
    let half = 2 * chosen == divisor ? short : try take(2 * chosen)
    let part = try take(chosen)
    let perToken = Double(part.peak - half.peak) / Double(max(1, part.tokens - half.tokens))
    return (part.peak + Int(perToken * Double(tokens - part.tokens)), part.seconds / Double(max(1, part.tokens)))
  }
}

extension [Example] {
  /// As many examples of that part of the length, context and learned tokens in their proportion; where the length is not theirs to
  /// choose, so much fewer examples.
  fileprivate func shortened(by divisor: Int) -> [Example] {
    guard divisor > 1 else { return self }
    return allSatisfy({ !$0.learned.isEmpty })
      ? map { $0.shortened(by: divisor) } : Array(prefix(Swift.max(1, count / divisor)))
  }
}

extension Example {
  /// An example of that part of the length, context and learned tokens in their proportion.
  fileprivate func shortened(by divisor: Int) -> Example {
    guard divisor > 1 else { return self }
    let count = min(ids.count, max(2, ids.count / divisor))
    return Example(ids: Array(ids.prefix(count)), learnedFrom: min((learned.first?.lowerBound ?? 0) / divisor, count - 1))
  }
}
