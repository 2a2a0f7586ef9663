import JSON

extension ComparisonSummary {
  /// The whole comparison as one object, the JSON behind the report:
  ///
  /// - `format`: `"peft-comparison-1"`; `program`, `machines`, `run_file`, `base_model`: strings.
  /// - `steps`, `eval_every`; `rates` (the grid, ascending); `seeds` (decimal strings: they have 64 bits); `selection_seeds` (how
  ///   many of the seeds, from the first, chose the rate).
  /// - `data`: an object for each part: `name`, `place` (or null), `examples`, `tokens` (those that are learned or counted).
  /// - `baseline`: a label; `target_loss`: its last mean validation loss, or null.
  /// - `base`: `validation`, `held_out`, `own_text`: losses of the untouched base, or null.
  /// - `methods`, in the order they were named, each with `name`, `method`, `optimizer`; `grid` (`rate`, `loss`: the mean validation
  ///   loss at the end, null where a trial diverged); `rate` (null where every rate diverged), `rate_at_edge`; `diverged` (how many
  ///   seeds, at the chosen rate); `held_out`, `difference` (to the baseline, paired by seed) and `forgetting` (change of loss on
  ///   the base's own text): null, or `mean`, `half_width` (of the 95 % t-interval; null for one seed) and `count`; `figures`: an
  ///   object of such intervals by name, of what is measured on the held-out part beside the loss (`accuracy`, …; none for language
  ///   models);
  ///   `steps_to_baseline` (null where never reached); `trainable`; `adapter_bytes`; `peak_tensor_bytes`; `seconds_per_step`;
  ///   `curve` (`step`, `mean`, `low`, `high`).
  /// - `trials`: every trial, as ``TrialResult/json``.
  ///
  /// Losses are mean −log p per token or per example, in nats.
  public var json: JSON {
    [
      "format": "peft-comparison-1", "program": .string(program), "machines": .array(machines.map { .string($0) }),
      "run_file": .string(runFile), "base_model": .string(baseModel), "steps": .int(steps), "eval_every": .int(evalEvery),
      "rates": .array(rates.map { .double($0) }), "seeds": .array(seeds.map { .string(String($0)) }),
      "selection_seeds": .int(selectionSeeds),
      "data": .array(
        parts.map {
          [
            "name": .string($0.name), "place": $0.place.map { .string($0) } ?? .null, "examples": .int($0.examples),
            "tokens": .int($0.tokens),
          ]
        }),
      "baseline": .string(baseline), "target_loss": .init(target), "base": base.json, "methods": .array(rows.map(\.json)),
      "trials": .array(trials.map(\.json)),
    ]
  }
}

extension ComparisonSummary.Row {
  var json: JSON {
    [
      "name": .string(label), "method": .string(method), "optimizer": .string(optimizer),
      "grid": .array(grid.map { ["rate": .double($0.rate), "loss": .double($0.loss)] }), "rate": .init(rate),
      "rate_at_edge": .bool(isAtEdge), "diverged": .int(diverged), "held_out": .init(heldOut),
      "figures": .object(figures.map { .init($0.key, .init($0.interval)) }), "difference": .init(difference),
      "steps_to_baseline": .init(stepsToBaseline), "trainable": .int(trainable), "seconds_per_step": .double(stepSeconds),
      "peak_tensor_bytes": .int(peakBytes), "adapter_bytes": adapterBytes.map { .int($0) } ?? .null,
      "forgetting": .init(forgetting),
      "curve": .array(
        curve.map { ["step": .int($0.step), "mean": .double($0.mean), "low": .double($0.low), "high": .double($0.high)] }),
    ]
  }
}

extension JSON {
  init(_ interval: Interval?) {
    guard let interval else {
      self = .null
      return
    }
    self = ["mean": .double(interval.mean), "half_width": .init(interval.halfWidth), "count": .int(interval.count)]
  }
}
