import Engine
import PEFTKernel

/// The first step that AdamW would take on the full weight: M = −η₀·sgn(ḡ), ḡ the gradient summed over a few samples
/// [LoRA-SB, arXiv:2411.19557].
///
/// Adam's first step is its rate times the sign of the gradient; η₀ is the rate of the run's first step, the first of its warm-up.
/// The base is not shifted: step 0 is the base plus the approximated step, on purpose.
public struct FirstStepTarget: TargetStart {
  public static let name = "first-step"
  /// η₀; nil for the run's own.
  public var rate: Double?
  /// Samples looked at; nil for a thousandth of the training data.
  public var samples: Int?
  public var batchSize: Int
  public var keepsFunction: Bool

  public var wants: Evidence.Wants {
    .init(gradients: .init(samples.map { .samples($0) } ?? .share(0.001), batchSize: batchSize))
  }

  public func target(at site: Site, _ evidence: Evidence) throws(Refusal) -> Target {
    let gradient = try evidence.usableGradient(at: site, for: Self.name)
    guard let rate = rate ?? evidence.firstRate, rate > 0 else {
      throw Refusal("start \(Self.name) does not know the rate of the first step", remedy: "set init_lr to a number above 0")
    }
    return Target(gradient.signs * -rate, keepsFunction: keepsFunction)
  }

  public static let definition = AxisDefinition<any InitStrategy>(
    name, "near the first step of full fine-tuning; step 0 is the base plus that step",
    options: [
      OptionSpec(
        "init_lr", .number(0...1e6, aboveLower: true), default: .null, "η₀ of that step; null for the run's first rate"),
      OptionSpec(
        "init_samples", .integer(1...1 << 30), default: .null, "samples looked at; null for a thousandth of the training data"),
      OptionSpec("batch_size", .integer(1...65_536), default: .int(4), "samples looked at together"),
      OptionSpec("keep", .boolean, default: .bool(false), "whether the base gives way, so that step 0 keeps its function"),
    ], aliases: [.string("update_approximation")]
  ) { (options) throws(Refusal) in
    FirstStepTarget(
      rate: options.optionalDouble("init_lr"), samples: options.optionalInt("init_samples"), batchSize: options.int("batch_size"),
      keepsFunction: options.bool("keep"))
  }
}

extension Tensor {
  /// −1, 0 or 1 by entry.
  fileprivate var signs: Tensor { Tensor(values.map { $0 > 0 ? 1 : $0 < 0 ? -1 : 0 }, shape: shape, scalar) }
}
