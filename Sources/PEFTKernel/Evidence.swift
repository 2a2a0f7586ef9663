import Engine

/// What an init strategy may look at, gathered by the evidence stage and freed when the site has started.
public struct Evidence: Sendable {
  /// What must be gathered before training. Weights are always there to be seen.
  public struct Wants: Sendable, Hashable {
    /// The mean of ∂loss/∂W over some of the training data.
    public var gradients: Amount?
    /// Whether it is the mean of |∂loss/∂W|, batch by batch, in place of that of ∂loss/∂W.
    public var magnitudes: Bool
    /// C = Σ xᵀ·x of the inputs x over some of the training data, seen by the weights as they were before quantization.
    public var inputs: Amount?
    /// The weights as they were before quantization.
    public var original: Bool

    public init(gradients: Amount? = nil, magnitudes: Bool = false, inputs: Amount? = nil, original: Bool = false) {
      self.gradients = gradients
      self.magnitudes = magnitudes
      self.inputs = inputs
      self.original = original
    }

    public static let nothing = Wants()

    /// The mean over `batches` batches of `batchSize` rows of ∂loss/∂W at every site.
    public static func gradients(batches: Int, batchSize: Int) -> Wants {
      Wants(gradients: Amount(.batches(batches), batchSize: batchSize))
    }
  }

  /// How much of the training data is looked at.
  public struct Amount: Sendable, Hashable {
    public enum Count: Sendable, Hashable {
      /// Each batch counts the same.
      case batches(Int)
      /// Each sample counts the same.
      case samples(Int)
      /// A share of all samples, at least one.
      case share(Double)
    }

    public var count: Count
    /// Rows of a batch.
    public var batchSize: Int

    public init(_ count: Count, batchSize: Int) {
      self.count = count
      self.batchSize = batchSize
    }
  }

  /// W [outputs, inputs] of a site, as the base computes with it.
  public var weight: @Sendable (SiteID) -> Tensor
  /// W [outputs, inputs] of a site as it was before quantization; nil where that is not known.
  public var original: @Sendable (SiteID) -> Tensor? = { _ in nil }
  /// Mean ∂loss/∂W [outputs, inputs] by site, or |∂loss/∂W| where that was wanted, for the sites of this call.
  public var gradients: [SiteID: Tensor]
  /// Σ xᵀ·x [inputs, inputs] in double by site, for the sites of this call.
  public var grams: [SiteID: Tensor] = [:]
  /// What the projection derived from the bases of these sites.
  public var derived = Tensors()
  /// The learning rate of the run's first step, where there is a run.
  public var firstRate: Double?

  public init(weight: @escaping @Sendable (SiteID) -> Tensor, gradients: [SiteID: Tensor] = [:]) {
    self.weight = weight
    self.gradients = gradients
  }

  /// What belongs to one site, taken out of this evidence, so that it is freed when the site has started.
  mutating func take(_ site: SiteID) -> Evidence {
    var own = Evidence(weight: weight)
    own.firstRate = firstRate
    own.original = original
    own.gradients[site] = gradients.removeValue(forKey: site)
    own.grams[site] = grams.removeValue(forKey: site)
    return own
  }
}
