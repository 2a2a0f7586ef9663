import Engine
import Models
import PEFTKernel

/// What a model is trained for: the loss of a batch, and what an evaluation keeps of it.
///
/// Steps, evaluations and starts know a model by its objective alone.
public protocol Objective: Sendable {
  var model: any Model { get }
  /// What the classes are called, by their ids; none where there are none.
  var classNames: [String] { get }
  /// scale · Σ of the losses of what is to be learned in the batch, a scalar [1], to be differentiated as it is. With the scale
  /// 1 / ``Batch/labelCount`` it is their mean.
  func loss(_ batch: Batch, scale: Double, _ run: ModelRun) -> Tensor
  /// Σ of the same losses, and the answers that metrics are made of. Without gradients.
  func judge(_ batch: Batch, _ run: ModelRun) -> Judgement
  /// One row an example, of whatever it is an example: the logits of the classes, or its vector of length 1. Nil for a language model,
  /// which goes on where others answer.
  func answers(_ batch: Batch, _ run: ModelRun) -> Tensor?
  /// The same on another model: the one that its own was quantized from.
  func on(_ model: any Model) throws(Refusal) -> any Objective
  /// Runs the model as far as its layers go, for those who look at what sites read.
  func forward(_ batch: Batch, _ run: ModelRun)
}

/// What became of a batch in an evaluation.
public struct Judgement: Sendable {
  public enum Answer: Sendable {
    /// The probability of every class, and the class that is right.
    case classes(probabilities: [Double], label: Int)
    /// Two embeddings of length 1 that belong together.
    case pair([Float], [Float])
  }

  /// Σ of the losses.
  public var loss: Double
  /// One an example, in order; none where the loss says it all.
  public var answers: [Answer]

  public init(loss: Double, answers: [Answer] = []) {
    self.loss = loss
    self.answers = answers
  }
}

extension Objective {
  public var classNames: [String] { [] }

  public func answers(_ batch: Batch, _ run: ModelRun) -> Tensor? { nil }

  public func judge(_ batch: Batch, _ run: ModelRun) -> Judgement { Judgement(loss: loss(batch, scale: 1, run).item) }
}
