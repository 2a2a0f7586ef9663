import Files
import JSON
import PEFTCLI
import Registry
import Training

/// A method as it takes part: what tables call it, and how `peft compare` would be told.
struct Contestant: Sendable {
  var label: String
  var text: String

  init(_ text: String, _ label: String? = nil) {
    self.text = text
    self.label = label ?? text
  }

  static let lora = Contestant("lora", "LoRA r=8")
  static let rates = [1e-3, 3e-3, 1e-2, 3e-2]
  /// For what trains few numbers between fixed bases, which wants higher ones.
  static let coreRates = [3e-3, 1e-2, 3e-2, 0.1]
}

extension Bench {
  /// Runs a comparison, the first contestant its baseline. All share one folder of trials, so that those of a method that takes part
  /// in several comparisons are run once.
  func compare(_ contestants: [Contestant], rates: [Double] = Contestant.rates) async throws -> ComparisonSummary {
    let variants = try contestants.map { contestant in
      var variant = try RunVariant(contestant.text)
      variant.label = contestant.label
      return variant
    }
    func path(_ name: String) -> String { Folder.join(folder, name) }
    let settings = Comparison.Settings(
      rates: scale.sweeps ? rates : [3e-3], seeds: scale.seeds, evalEvery: scale.evalEvery, heldOut: path("held_out.jsonl"),
      ownText: path("own_text.jsonl"), baseline: contestants[0].label, output: path("trials"), program: program,
      machine: Machine.text)
    let comparison = try Comparison(
      path("run.yaml"), variants: variants, settings: settings, registry: registry)
    let outcome = try await ComparisonRun(comparison).run { event in
      guard case .ended(let result) = event else { return }
      let trial = result.trial
      let loss = result.divergence.map { "diverged at step \($0.step)" } ?? Text.fixed(result.validation, 4)
      say("  \(trial.label), rate \(trial.rate), seed \(trial.seed): \(loss), \(Text.fixed(result.seconds, 1)) s")
    }
    guard case .finished(let summary) = outcome else { throw CancellationError() }
    return summary
  }

  /// The words that go with every comparison.
  var trialSetting: String {
    let rates =
      scale.sweeps
      ? "each method at the best rate of its comparison's grid, chosen with one seed on the validation part" : "one rate"
    return "\(Self.model) learns GSM8K's answers: all linear maps, \(scale.steps) steps of one packed row of 512 tokens, cosine; "
      + "\(rates); loss on \(scale.heldOut) held-out problems in nats a token, mean of \(scale.seeds) seeds ± 95 % t-interval"
  }
}

extension ComparisonSummary {
  func row(_ label: String) -> Row {
    guard let row = rows.first(where: { $0.label == label }) else { preconditionFailure("\(label) took no part") }
    return row
  }

  /// Held-out loss of one method less that of another, seed by seed; nil where one diverged.
  func difference(_ label: String, _ other: String) -> Interval? {
    let (mine, theirs) = (row(label), row(other))
    guard mine.heldOut != nil, theirs.heldOut != nil else { return nil }
    return Interval(
      mine.trials.compactMap { trial in
        let same = theirs.trials.first { $0.trial.seed == trial.trial.seed }
        guard let loss = trial.heldOut, let other = same?.heldOut else { return nil }
        return loss - other
      })
  }

  /// All of it but where things lie on this machine.
  var record: JSON { .object((json.members ?? []).filter { !["run_file", "base_model", "data"].contains($0.key) }) }

  static let head = ["method", "rate", "held-out loss", "minus LoRA r=8", "trained numbers", "ms/step", "forgetting"]

  /// The rows of a table with that head; an asterisk marks a rate at the edge of the grid.
  var cells: [[String]] {
    rows.map { row in
      [
        row.label, row.rate.map { "\($0)" + (row.isAtEdge ? "*" : "") } ?? "–", Text.interval(row.heldOut, 4),
        row.label == baseline ? "" : Text.interval(row.difference, 4, signed: true), Text.count(row.trainable),
        Text.fixed(row.stepSeconds * 1000, 0), Text.interval(row.forgetting, 3, signed: true),
      ]
    }
  }
}
