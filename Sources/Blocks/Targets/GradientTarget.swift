import Engine
import PEFTKernel

/// The direction of steepest descent: M = −size·‖W‖·Ḡ/‖Ḡ‖ with Ḡ the mean gradient of the first batches.
///
/// The descent step itself has no scale of its own here; `size` is its length as a share of the weight's. By default the base gives
/// way, so that step 0 keeps its function and only the directions of the adapter are the gradient's.
public struct GradientTarget: TargetStart {
  public static let name = "gradient"
  public var amount: Evidence.Amount
  public var size: Double
  public var keepsFunction: Bool

  public var wants: Evidence.Wants { .init(gradients: amount) }

  public func target(at site: Site, _ evidence: Evidence) throws(Refusal) -> Target {
    let gradient = try evidence.usableGradient(at: site, for: Self.name)
    let length = gradient.sumOfSquares.squareRoot()
    let weight = evidence.weight(site.id).sumOfSquares.squareRoot()
    // A weight of zeros has no length to take a share of.
    return Target(gradient * (-size * (weight > 0 ? weight : 1) / length), keepsFunction: keepsFunction)
  }

  public static let definition = AxisDefinition<any InitStrategy>(
    name, "near the direction of steepest descent of the first batches",
    options: [
      OptionSpec("batches", .integer(1...65_536), default: .int(8), "batches whose gradient is averaged"),
      OptionSpec("batch_size", .integer(1...65_536), default: .int(4), "rows of each such batch"),
      OptionSpec(
        "size", .number(0...1e6, aboveLower: true), default: .double(0.05), "length of the start as a share of the weight's"),
      OptionSpec("keep", .boolean, default: .bool(true), "whether the base gives way, so that step 0 keeps its function"),
    ]
  ) { (options) throws(Refusal) in
    GradientTarget(
      amount: .init(.batches(options.int("batches")), batchSize: options.int("batch_size")), size: options.double("size"),
      keepsFunction: options.bool("keep"))
  }
}

extension Evidence {
  /// The mean gradient of a site, refused where nothing can be started from it.
  public func usableGradient(at site: Site, for start: String) throws(Refusal) -> Tensor {
    guard let gradient = gradients[site.id] else {
      throw Refusal("no gradient of \(site.id) was recorded, from which \(start) starts")
    }
    guard gradient.isFinite else {
      throw Refusal("the gradient of \(site.id) is not finite, so nothing can be started from it", remedy: "check the data")
    }
    guard gradient.largestMagnitude > 0 else {
      throw Refusal(
        "the gradient of \(site.id) is zero: no direction to start in", remedy: "exclude the site, or use more batches")
    }
    return gradient
  }
}
