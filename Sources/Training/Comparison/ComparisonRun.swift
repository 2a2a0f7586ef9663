import Files
import PEFTKernel
import Registry

/// What happens in a comparison, as it happens.
public enum ComparisonEvent: Sendable {
  /// Trials in all, and the results of those that were found done.
  case prepared(trials: Int, found: [TrialResult])
  case begun(Trial, step: Int, of: Int)
  case step(Trial, StepReport, seconds: Double)
  /// On the validation part.
  case evaluated(Trial, step: Int, loss: Double)
  case ended(TrialResult)
  /// It was found done; seen only when its rate was chosen.
  case found(TrialResult)
  /// A contestant's own rate; nil where it diverged at every rate.
  case chosen(label: String, rate: Double?)
}

/// How a comparison ended.
public enum ComparisonOutcome: Sendable {
  case finished(ComparisonSummary)
  /// Stopped between steps: running the same comparison again goes on from there.
  case stopped(done: Int, of: Int)
}

/// Runs a comparison's trials, one after the other. An actor, so that training stays off the caller's own.
///
/// Results are kept as they come. Trials that the folder holds already are not run again, so that the same comparison goes on after
/// whatever stopped it, and one with more methods, rates or seeds makes use of a smaller one. Cancelling the task finishes the step
/// at hand and ends with `.stopped`.
public actor ComparisonRun {
  private let comparison: Comparison
  private let store: TrialStore
  private let overwrites: Bool

  public init(_ comparison: Comparison, overwrites: Bool = false) {
    self.comparison = comparison
    self.overwrites = overwrites
    store = TrialStore(output: comparison.settings.output)
  }

  public func run(_ progress: @Sendable (ComparisonEvent) -> Void = { _ in }) throws -> ComparisonOutcome {
    try store.check()
    let lock = try FolderLock(store.output)
    defer { withExtendedLifetime(lock) {} }
    try store.prepare(overwrites: overwrites)
    var results: [Trial: TrialResult] = [:]
    for trial in possible {
      results[trial] = try store.result(of: trial, digest: comparison.digest(of: trial, file(of: trial)))
    }
    var told = Set(asked(results))
    progress(.prepared(trials: comparison.trialCount, found: told.compactMap { results[$0] }))
    func take(_ trials: [Trial]) throws -> Bool {
      for trial in trials where told.insert(trial).inserted {
        if let known = results[trial] {
          progress(.found(known))
        } else if Task.isCancelled {
          told.remove(trial)
          return false
        } else if let result = try run(trial, progress) {
          results[trial] = result
          progress(.ended(result))
        } else {
          told.remove(trial)
          return false
        }
      }
      return true
    }
    func stopped() -> ComparisonOutcome { .stopped(done: told.count, of: comparison.trialCount) }
    guard let base = try base(), try take(comparison.selection) else { return stopped() }
    let chosen = chosen(results)
    if comparison.settings.rates.count > 1 {
      for contestant in comparison.contestants { progress(.chosen(label: contestant.label, rate: chosen[contestant.label])) }
    }
    guard try take(comparison.finals(chosen)) else { return stopped() }
    return .finished(ComparisonSummary(comparison, chosen: chosen, results: results, base: base))
  }

  private func chosen(_ results: [Trial: TrialResult]) -> [String: Double] {
    var chosen: [String: Double] = [:]
    for contestant in comparison.contestants {
      chosen[contestant.label] = comparison.chosenRate(of: contestant.label, results)
    }
    return chosen
  }

  /// Of the trials that have results, those that are known to be asked for.
  private func asked(_ results: [Trial: TrialResult]) -> [Trial] {
    let choice = comparison.selection
    let isChosen = choice.allSatisfy { results[$0] != nil }
    return (choice + (isChosen ? comparison.finals(chosen(results)) : [])).filter { results[$0] != nil }
  }

  /// Every trial that may be asked for.
  private var possible: [Trial] {
    comparison.contestants.flatMap { contestant in
      comparison.settings.rates.flatMap { rate in
        comparison.seeds.map { Trial(label: contestant.label, rate: rate, seed: $0) }
      }
    }
  }

  private func file(of trial: Trial) -> RunFile {
    let contestant = comparison.contestants.first { $0.label == trial.label } ?? comparison.contestants[0]
    var file = contestant.file
    (file.optimizer.lr, file.seed, file.outputDir) = (trial.rate, trial.seed, store.place(of: trial))
    // Packing fills rows by the seed's order, so that passes over the data may differ by a step; the budget must not.
    (file.steps, file.epochs) = (comparison.steps, nil)
    return file
  }

  /// Runs a trial and keeps its result; nil where the task was cancelled.
  private func run(_ trial: Trial, _ progress: (ComparisonEvent) -> Void) throws -> TrialResult? {
    let file = file(of: trial)
    let digest = comparison.digest(of: trial, file)
    let session = try RunSession(file, registry: comparison.registry, sharing: comparison.session)
    let run = TrialRun(
      session: session, trial: trial, data: comparison.data, evalEvery: comparison.evalEvery,
      machine: comparison.settings.machine, folder: store.place(of: trial), digest: digest)
    do {
      guard let result = try run.run(progress) else { return nil }
      try store.write(result, digest: digest)
      return result
    } catch is CancellationError {
      // While a start gathered its evidence; there is nothing of it to keep.
      return nil
    } catch let refusal as Refusal {
      throw Refusal("\(trial.label): \(refusal.reason)", remedy: refusal.remedy)
    }
  }

  /// What the untouched base scores; nil where the task was cancelled.
  private func base() throws -> BaseScores? {
    if comparison.session.file.fromScratch { return BaseScores() }
    let digest = comparison.digest("base")
    if let known = try store.base(digest: digest) { return known }
    var losses: [Double?] = []
    for examples in [comparison.data.validation, comparison.data.heldOut, comparison.data.ownText] {
      if Task.isCancelled { return nil }
      losses.append(examples.isEmpty ? nil : Evaluation.of(comparison.session.objective, adapter: nil, examples).loss)
    }
    let scores = BaseScores(validation: losses[0], heldOut: losses[1], ownText: losses[2])
    try store.write(scores, digest: digest)
    return scores
  }
}
