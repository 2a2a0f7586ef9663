import JSON
import Training

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

// Claims about what a method reaches in training.

extension Part {
  /// LoRA-GA [arXiv:2407.05000].
  static let gradientStart = Part(name: "lora-ga") { bench in
    let label = "LoRA-GA r=8"
    let summary = try await bench.compare(
      [.lora, Contestant("lora-ga:rank=8:batches=16", label)], rates: [3e-4] + Contestant.rates)
    let (lora, mine) = (summary.row(Contestant.lora.label), summary.row(label))
    let steps = Double(summary.steps)
    // Seed by seed, until the validation loss is as low as LoRA's of that seed at its end.
    let reached = mine.trials.map { trial -> Double? in
      let other = lora.trials.first { $0.trial.seed == trial.trial.seed }
      guard let target = other?.curve.last?.loss else { return nil }
      return Statistics.step(reaching: target, on: trial.curve.map { ($0.step, $0.loss) })
    }
    let interval = Interval(reached.compactMap(\.self))
    let never = reached.count { $0 == nil }
    let isReached = never == 0 && mine.diverged == 0
    let mean = interval?.mean ?? .infinity
    let startSteps = (Statistics.median(mine.trials.map(\.startSeconds)) ?? 0) / max(1e-9, mine.stepSeconds)
    var words = "LoRA's loss after \(summary.steps) steps is reached "
    words += never < reached.count ? "after \(Text.interval(interval, 1)) steps" : "with no seed"
    if never > 0, never < reached.count { words += ", but never with \(never) of \(reached.count) seeds" }
    words += "; its start takes the time of \(Text.fixed(startSteps, 0)) steps more"
    let finding = Finding(
      claim: "LoRA-GA reaches LoRA's loss in at most half the steps (2 to 4 times fewer) [arXiv:2407.05000]",
      setting: bench.trialSetting
        + "; 16 batches of 2 make the start; holds if half of LoRA's steps are enough in the mean of the seeds",
      head: ComparisonSummary.head, rows: summary.cells,
      verdict: isReached && mean <= steps / 2 ? .yes : isReached && mean < steps ? .partly : .no, words: words)
    return Outcome(findings: [finding], data: summary.record)
  }

  /// LoRA-SB [arXiv:2411.19557].
  static let smallCore = Part(name: "lora-sb") { bench in
    let sizes = [(rank: 12, label: "LoRA-SB r=12"), (rank: 7, label: "LoRA-SB r=7")]
    let summary = try await bench.compare(
      [.lora] + sizes.map { Contestant("lora-sb:rank=\($0.rank):init_samples=32", $0.label) } + [
        Contestant("lora-xs:rank=12:alpha=12", "LoRA-XS r=12")
      ], rates: Contestant.coreRates)
    let (lora, base) = (summary.row(Contestant.lora.label), summary.base.heldOut ?? .nan)
    let orders = sizes.map { Order(summary.row($0.label).difference) }
    let words = sizes.map { size in
      let row = summary.row(size.label)
      let times = Double(lora.trainable) / Double(row.trainable)
      let share = (base - (row.heldOut?.mean ?? .nan)) / (base - (lora.heldOut?.mean ?? .nan)) * 100
      return
        "with \(Text.fixed(times, 0)) times fewer numbers \(size.label) makes \(Text.fixed(share, 0)) % of LoRA's way from the base's "
        + "\(Text.fixed(base, 3)), \(Text.interval(row.difference, 4, signed: true)) against it"
    }.joined(separator: "; ")
    let against = summary.difference(sizes[0].label, "LoRA-XS r=12")
    let finding = Finding(
      claim: "LoRA-SB with r² numbers a site is as good as LoRA with 27 to 90 times more, or better [arXiv:2411.19557]",
      setting: bench.trialSetting
        + "; 32 problems make the start; holds if no size is worse than LoRA beyond the interval, and one better",
      head: ComparisonSummary.head, rows: summary.cells,
      verdict: orders.contains(.higher)
        ? (orders.allSatisfy { $0 == .higher } ? .no : .partly) : orders.contains(.lower) ? .yes : .undecided,
      words: words + "; against LoRA-XS of the same size " + Text.interval(against, 4, signed: true))
    return Outcome(findings: [finding], data: summary.record)
  }

  /// Uni-LoRA [arXiv:2506.00799].
  static let oneVector = Part(name: "uni-lora") { bench in
    let small = Contestant("lora:rank=1:alpha=2", "LoRA r=1")
    let vectors = [5184, 20_736].map { Contestant("uni-lora:rank=8:theta_d_length=\($0)", "Uni-LoRA d=\(Text.count($0))") }
    let summary = try await bench.compare([.lora, small] + vectors, rates: [3e-3, 1e-2, 3e-2, 0.1, 0.3])
    let few = summary.row(small.label)
    let many = summary.row(Contestant.lora.label)
    var best = 0.0
    let words = vectors.map { vector in
      let row = summary.row(vector.label)
      // The numbers of a LoRA of equal loss: straight in their logarithm between rank 1 and rank 8.
      guard let loss = row.heldOut?.mean, let low = few.heldOut?.mean, let high = many.heldOut?.mean else {
        return "\(vector.label) diverged"
      }
      guard loss <= low else {
        return "\(vector.label) stays \(Text.fixed(loss - low, 4)) above LoRA of rank 1, so no number of times can be told"
      }
      let share = high < low ? min(1, (low - loss) / (low - high)) : 1
      let equal = Double(few.trainable) * pow(Double(many.trainable) / Double(few.trainable), share)
      best = max(best, equal / Double(row.trainable))
      return "\(vector.label) is as low as LoRA with \(loss <= high ? "at least " : "")\(Text.count(Int(equal))) numbers, "
        + "\(Text.fixed(equal / Double(row.trainable), 1)) times its own"
    }.joined(separator: "; ")
    let finding = Finding(
      claim: "Uni-LoRA needs a small part of LoRA's numbers for the same loss (0.26 % with Gemma-7B) [arXiv:2506.00799]",
      setting: bench.trialSetting
        + "; how many times fewer numbers at equal loss, between LoRA of rank 1 and 8; holds if 2 or more, "
        + "partly if more than 1",
      head: ComparisonSummary.head, rows: summary.cells, verdict: best >= 2 ? .yes : best > 1 ? .partly : .no, words: words)
    return Outcome(findings: [finding], data: summary.record)
  }

  /// AdaPreLoRA.
  static let weightOptimizers = Part(name: "adaprelora") { bench in
    let rivals = [
      Contestant.lora, Contestant("lora@scaled-adamw", "LoRA r=8, Scaled AdamW"), Contestant("lora@lora-plus", "LoRA r=8, LoRA+"),
    ]
    let label = "LoRA r=8, AdaPreLoRA"
    let summary = try await bench.compare(rivals + [Contestant("lora@adaprelora", label)], rates: [3e-4] + Contestant.rates)
    let differences = rivals.map { summary.difference(label, $0.label) }
    let orders = differences.map { Order($0) }
    let names = ["AdamW", "Scaled AdamW", "LoRA+"]
    let finding = Finding(
      claim: "AdaPreLoRA trains LoRA to a lower loss than AdamW, Scaled AdamW and LoRA+, each at its best rate",
      setting: bench.trialSetting
        + "; holds if it is lower than each of them beyond the interval, partly if than some and higher than none",
      head: ComparisonSummary.head, rows: summary.cells,
      verdict: orders.allSatisfy { $0 == .lower }
        ? .yes : orders.contains(.higher) ? .no : orders.contains(.lower) ? .partly : .undecided,
      words: "less the loss of "
        + zip(names, differences).map { "\($0) \(Text.interval($1, 4, signed: true))" }.joined(separator: ", of "))
    return Outcome(findings: [finding], data: summary.record)
  }
}
