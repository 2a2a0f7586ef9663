import PEFTKernel

/// Every tensor starts as its layout says, close to the base's function but not at it; `isExact` takes the change that
/// makes away from the base, so that step 0 is the base.
///
/// For methods that cannot start at the base itself because their gradients would vanish there.
public struct NearStart: InitStrategy {
  public var isExact: Bool

  public init(isExact: Bool = false) { self.isExact = isExact }

  public var startLaw: StartLaw { isExact ? .base : .near }

  public func start(
    _ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection, _ evidence: Evidence, _ now: Moment
  ) throws(Refusal) -> Start {
    let tensors = layout.filled(now)
    // In memory of its own: what is trained is updated in place.
    let offset = isExact ? Tensors(tensors.values.mapValues { $0.copied() }) : nil
    return Start(tensors, offset: offset, notes: (projection as? any Advising)?.notes(over: sites) ?? [])
  }

  /// The registered axis.
  public static let definition = AxisDefinition<any InitStrategy>(
    "near-base", "as the layout says: near the base's function, or at it by an offset",
    options: [
      OptionSpec(
        "exact_start", .boolean, default: .bool(false), "whether the start's change is taken away from the base")
    ]
  ) { (options) throws(Refusal) in NearStart(isExact: options.bool("exact_start")) }
}

/// A projection that has something to say about its options on these sites, though they work.
public protocol Advising: Projection {
  func notes(over sites: [Site]) -> [String]
}
