import Blocks
import PEFTKernel

extension AdaPreLoRARule {
  public static let definition = AxisDefinition<any UpdateRule>(
    "adaprelora", "Adafactor's step on the weight, projected on the factors of a pair",
    options: [
      OptionSpec(
        "statistics", .choice(Statistics.allCases.map(\.rawValue)), default: .string("gradient"),
        "what row and column energies are of: the weight's gradient, or what the factors' gradients say of it"),
      OptionSpec(
        "beta1", .number(0...1, belowUpper: true), default: .double(0.9), "decay of the first moment; 0 keeps none"),
      OptionSpec("beta2", .number(0...1, belowUpper: true), default: .double(0.999), "decay of the energies"),
      OptionSpec(
        "beta2_schedule", .choice(Schedule.allCases.map(\.rawValue)), default: .string("constant"),
        "beta2 as it is, or 1 - step^-0.8 as Adafactor has it"),
      OptionSpec(
        "eps", .number(0...Double.greatestFiniteMagnitude), default: .double(1e-30), "added to every squared gradient"),
      OptionSpec(
        "damping", .number(0...Double.greatestFiniteMagnitude), default: .double(1e-6),
        "added to the diagonal of the matrices that are divided by; 1e-2 bounds the first steps of A, 0 needs full rank"),
      PairedOptions.weightDecay(),
    ]
  ) { (options) throws(Refusal) in try AdaPreLoRARule(options) }

  public init(_ options: Options) throws(Refusal) {
    beta1 = options.double("beta1")
    beta2 = options.double("beta2")
    schedule = Schedule(rawValue: options.string("beta2_schedule")) ?? .constant
    eps = options.double("eps")
    damping = options.double("damping")
    statistics = Statistics(rawValue: options.string("statistics")) ?? .gradient
    // Its own eps stands inside of squares of gradients; AdamW's stands beside their root.
    rest = AdamW(outsideOfPairs: options, eps: 1e-8)
  }
}
