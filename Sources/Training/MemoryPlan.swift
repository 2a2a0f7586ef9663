/// The resident memory that a run will need, in bytes, class by class.
public struct MemoryPlan: Sendable {
  /// Weights of the base as their file holds them, mapped; or drawn, where the run draws them.
  public var base: Int
  /// Base tensors that the engine keeps widened beside the file: the vectors.
  public var widened: Int
  /// Copies of base tensors that are trained.
  public var trainedBase: Int
  public var trainable: Int
  /// Tensors of the adapter that are not trained.
  public var frozen: Int
  /// What is taken away from the base, where the method starts off it.
  public var offset: Int
  public var optimizer: Int
  /// What a step holds for the optimizer to see beside the gradients: of pairs, where passes accumulate.
  public var optimizerEvidence: Int
  public var gradients: Int
  /// What the largest micro-batch's step takes beside all these: activations, workspace, blocks kept for reuse.
  public var activations: Int
  /// What a phase beside the steps takes beyond them: the start's evidence, an evaluation, the making of files.
  public var beyondSteps: Int
  /// The program and its libraries, the BLAS's buffers, tokenizer and text. 0 where the system does not tell.
  public var process: Int
  /// The phase that needs most.
  public var peakPhase: Phase
  /// Gradients of the weights that the start looks at; freed before the steps.
  public var evidence: Int
  /// Whether the largest step was too long to be taken: its activations then follow from two shorter ones.
  public var isExtrapolated: Bool

  public enum Phase: String, Sendable {
    case start
    case step
    case evaluation
    case saving
  }

  /// The classes that are resident together at the peak.
  public var classes: [(name: String, bytes: Int)] {
    [
      ("base, frozen as stored", base), ("base, widened vectors", widened), ("base, trained copies", trainedBase),
      ("adapter, trainable", trainable), ("adapter, frozen", frozen), ("base offset", offset),
      ("optimizer state", optimizer), ("gradients", gradients), ("gradients of pairs, for the optimizer", optimizerEvidence),
      ("activations and workspace", activations),
      ("\(peakPhase.rawValue), beyond a step", beyondSteps), ("program, libraries, text", process),
    ]
  }

  /// The most that will be resident at once.
  public var peak: Int { classes.reduce(0) { $0 + $1.bytes } }
}
