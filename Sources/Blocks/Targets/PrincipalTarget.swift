import Engine
import PEFTKernel

/// The weight itself, M = W: the adapter takes over its principal part and the base keeps the rest [PiSSA, arXiv:2404.02948].
///
/// Training then moves the principal directions instead of growing an update from zero.
public struct PrincipalTarget: TargetStart {
  public static let name = "principal-weights"
  /// Power iterations of a randomised decomposition; nil for an exact one.
  public var iterations: Int?

  public init(iterations: Int? = nil) { self.iterations = iterations }

  public var keepsFunction: Bool { true }

  public func check(_ site: Site) throws(Refusal) {
    guard site.isQuantized else { return }
    throw Refusal(
      "start \(Self.name) takes the principal part out of the weight, but \(site.id) is quantized",
      remedy: "use the model as it was before quantization, or init: { use: quantization-error }")
  }

  public func target(at site: Site, _ evidence: Evidence) throws(Refusal) -> Target {
    Target(evidence.weight(site.id), keepsFunction: true, iterations: iterations)
  }

  public static let definition = AxisDefinition<any InitStrategy>(
    name, "near the weight itself; the base keeps the rest",
    options: [
      OptionSpec(
        "niter", .integer(0...1000), default: .null, "power iterations of a randomised decomposition; null for an exact one")
    ], aliases: [.string("pissa")]
  ) { (options) throws(Refusal) in PrincipalTarget(iterations: options.optionalInt("niter")) }
}
