import Engine
import PEFTKernel

/// What quantization took away: M = W₀ − W_Q, so that the adapter cancels as much of the error as it can before training starts
/// [LoftQ, arXiv:2310.08659; QWHA, arXiv:2509.17428].
///
/// In the Gram metric the error counts as it shows in the site's output, on inputs of the model as it was before quantization.
public struct QuantizationErrorTarget: TargetStart {
  public static let name = "quantization-error"
  /// How much data the Gram matrices are summed over; nil for the Frobenius norm, which needs none.
  public var inputs: Evidence.Amount?
  /// Added to the Gram matrix's diagonal, as a share of its mean.
  public var damping: Double
  /// Whether the change is to cancel the error, so that a scale s is divided out of the tensors. LoftQ leaves it in: its change is s
  /// times the error, which is the same at s = 1 only.
  public var dividesScale: Bool

  public var keepsFunction: Bool { false }
  public var wants: Evidence.Wants { .init(inputs: inputs, original: true) }

  public func target(at site: Site, _ evidence: Evidence) throws(Refusal) -> Target {
    guard let original = evidence.original(site.id) else {
      throw Refusal(
        "start \(Self.name) needs the weight of \(site.id) as it was before quantization",
        remedy: "train on a directory that `peft quantize` wrote, with its origin where it was")
    }
    let error = original.converted(to: .float64) - evidence.weight(site.id).converted(to: .float64)
    guard error.largestMagnitude > 0 else {
      throw Refusal(
        "the weight of \(site.id) is what it was before quantization: there is no error to start from",
        remedy: "train on a directory that `peft quantize` wrote, or use init: { use: fill }")
    }
    guard inputs != nil else { return Target(error) }
    guard let gram = evidence.grams[site.id] else { throw Refusal("start \(Self.name) saw no inputs of \(site.id)") }
    let size = gram.columns
    let diagonal = (0..<size).map { gram.slice(rows: $0..<$0 + 1).values[$0] }
    let lift = damping * diagonal.reduce(0, +) / Double(max(1, size))
    return Target(error, metric: .gram(gram + Tensor.identity(size, .float64) * lift))
  }

  public static let definition = AxisDefinition<any InitStrategy>(
    name, "near the error that quantization left in the weight",
    options: [
      OptionSpec(
        "metric", .choice(["frobenius", "gram"]), default: .string("frobenius"),
        "the weight's error, or the output's on training data"),
      OptionSpec("samples", .integer(1...1 << 30), default: .int(128), "samples whose activations make up the Gram matrix"),
      OptionSpec("batch_size", .integer(1...65_536), default: .int(4), "samples looked at together"),
      OptionSpec(
        "damping", .number(0...1), default: .double(1e-4), "added to the Gram matrix, as a share of its diagonal's mean"),
      OptionSpec(
        "divide_scale", .boolean, default: .bool(true),
        "whether the projection's scale is divided out; without, as LoftQ has it, the change is the scale times the error"),
    ]
  ) { (options) throws(Refusal) in
    QuantizationErrorTarget(
      inputs: options.string("metric") == "gram"
        ? .init(.samples(options.int("samples")), batchSize: options.int("batch_size")) : nil, damping: options.double("damping"),
      dividesScale: options.bool("divide_scale"))
  }
}
