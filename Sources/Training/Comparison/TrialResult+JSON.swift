import JSON

extension TrialResult {
  /// Keys in the order of the properties; what a trial does not have is `null`.
  public var json: JSON {
    [
      "method": .string(trial.label), "rate": .double(trial.rate), "seed": .string(String(trial.seed)),
      "diverged": divergence.map { ["step": .int($0.step), "reason": .string($0.reason)] } ?? .null,
      "curve": .array(curve.map { ["step": .int($0.step), "loss": .double($0.loss)] }),
      "held_out": .init(heldOut), "figures": .object(figures.map { .init($0.key, .double($0.value)) }),
      "own_text": .init(ownText), "trainable": .int(trainable),
      "adapter_bytes": adapterBytes.map { .int($0) } ?? .null, "peak_bytes": .int(peakBytes),
      "step_seconds": .double(stepSeconds), "start_seconds": .double(startSeconds), "seconds": .double(seconds),
      "machine": .string(machine),
    ]
  }

  /// Nil of what ``json`` did not write.
  public init?(_ json: JSON) {
    guard let label = json["method"]?.string, let rate = json["rate"]?.double,
      let seed = json["seed"]?.string.flatMap({ UInt64($0) }), let points = json["curve"]?.array,
      let trainable = json["trainable"]?.int, let peak = json["peak_bytes"]?.int,
      let stepSeconds = json["step_seconds"]?.double, let startSeconds = json["start_seconds"]?.double,
      let seconds = json["seconds"]?.double, let machine = json["machine"]?.string
    else { return nil }
    var divergence: Divergence?
    if let fault = json["diverged"], !fault.isNull {
      guard let step = fault["step"]?.int, let reason = fault["reason"]?.string else { return nil }
      divergence = Divergence(step: step, reason: reason)
    }
    var curve: [Point] = []
    for point in points {
      guard let step = point["step"]?.int, let loss = point["loss"]?.double else { return nil }
      curve.append(Point(step: step, loss: loss))
    }
    self.init(
      trial: Trial(label: label, rate: rate, seed: seed), divergence: divergence, curve: curve,
      heldOut: json["held_out"]?.double, ownText: json["own_text"]?.double, trainable: trainable,
      adapterBytes: json["adapter_bytes"]?.int, peakBytes: peak, stepSeconds: stepSeconds, startSeconds: startSeconds,
      seconds: seconds, machine: machine)
    // Older results have none.
    figures = (json["figures"]?.members ?? []).compactMap { member in
      member.value.double.map { Figure(member.key, $0) }
    }
  }

  /// Those that are told beside a loss.
  static func figures(of evaluation: Evaluation) -> [Figure] {
    if case .perplexity = evaluation.measures { return [] }
    return evaluation.figures.map { Figure($0.key, $0.value) }
  }
}

extension JSON {
  init(_ value: Double?) { self = value.map { .double($0) } ?? .null }
}
