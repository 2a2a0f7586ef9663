import Files

/// One training run of a comparison.
public struct Trial: Sendable, Hashable {
  /// Of the contestant.
  public var label: String
  /// The peak learning rate.
  public var rate: Double
  public var seed: UInt64

  public init(label: String, rate: Double, seed: UInt64) {
    self.label = label
    self.rate = rate
    self.seed = seed
  }

  /// What its files are called.
  var fileName: String {
    let plain = label.unicodeScalars.map { scalar -> Character in
      switch scalar {
      case "a"..."z", "A"..."Z", "0"..."9", ".", "_", "-", "=", "@", ":": Character(scalar)
      default: "-"
      }
    }
    var name = String(plain.prefix(80))
    // Labels that differ must not share a file.
    if name != label || name.hasPrefix(".") {
      var hash = SHA256()
      hash.update(label)
      name = "trial-" + name + "-" + hash.hex.prefix(8)
    }
    return "\(name)_lr\(rate)_seed\(seed)"
  }
}

/// What a trial showed.
public struct TrialResult: Sendable, Equatable {
  public struct Point: Sendable, Equatable {
    /// Optimizer steps taken.
    public var step: Int
    /// On the validation part, mean per learned token or example.
    public var loss: Double

    public init(step: Int, loss: Double) {
      self.step = step
      self.loss = loss
    }
  }

  /// A figure beside the loss, such as accuracy.
  public struct Figure: Sendable, Equatable {
    /// As ``Evaluation/figures`` calls it.
    public var key: String
    public var value: Double

    public init(_ key: String, _ value: Double) {
      self.key = key
      self.value = value
    }
  }

  public var trial: Trial
  /// Why and after how many steps it met a number that is none; nil for a trial that came to its end.
  public var divergence: Divergence?
  /// From step 0 to the last, as far as it came.
  public var curve: [Point]
  /// Loss on the held-out part at the end; nil where the trial diverged.
  public var heldOut: Double?
  /// What else there is to say of the held-out part at the end; nothing of language models, whose perplexity says the same again.
  public var figures: [Figure] = []
  /// Loss on the base's own text at the end; nil where there is none, or the trial diverged.
  public var ownText: Double?
  public var trainable: Int
  /// Bytes of the adapter's weights file, and of what was trained of the base, in float32; nil where the trial diverged.
  public var adapterBytes: Int?
  /// The most that the tensors of the start and of any step held at once: base copies, adapter, optimizer, gradients, activations.
  public var peakBytes: Int
  /// Of a step, the median.
  public var stepSeconds: Double
  /// Until the first step: evidence, decompositions, tables.
  public var startSeconds: Double
  /// Of the whole trial, evaluations included.
  public var seconds: Double
  /// Processor, threads, system, as the caller calls them.
  public var machine: String

  public struct Divergence: Sendable, Equatable {
    public var step: Int
    public var reason: String

    public init(step: Int, reason: String) {
      self.step = step
      self.reason = reason
    }
  }

  public init(
    trial: Trial, divergence: Divergence? = nil, curve: [Point] = [], heldOut: Double? = nil, ownText: Double? = nil,
    trainable: Int = 0, adapterBytes: Int? = nil, peakBytes: Int = 0, stepSeconds: Double = 0, startSeconds: Double = 0,
    seconds: Double = 0, machine: String = ""
  ) {
    self.trial = trial
    self.divergence = divergence
    self.curve = curve
    self.heldOut = heldOut
    self.ownText = ownText
    self.trainable = trainable
    self.adapterBytes = adapterBytes
    self.peakBytes = peakBytes
    self.stepSeconds = stepSeconds
    self.startSeconds = startSeconds
    self.seconds = seconds
    self.machine = machine
  }

  /// What the learning rate is chosen by: the last validation loss, or worse than any where the trial diverged.
  public var validation: Double { divergence == nil ? curve.last?.loss ?? .infinity : .infinity }
}
