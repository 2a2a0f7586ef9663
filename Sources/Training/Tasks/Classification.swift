import Engine
import Models
import PEFTKernel

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A model with a head learns to tell classes apart, of texts or of images: −log softmax of the right one.
public struct Classification: Objective {
  public let classifier: any Classifier
  public let labels: ClassLabels
  private let input: EncoderInput

  /// Refuses a model without a head, and one whose head is for another problem.
  public init(_ model: any Model) throws(Refusal) {
    guard let classifier = model as? any Classifier, let labels = classifier.labels else {
      throw Refusal(
        "the \(model.modelType) model has no head that tells classes apart", remedy: "give `labels`, or another model")
    }
    guard labels.problem == .singleLabel else {
      throw Refusal(
        "the model's problem_type is \(labels.problem.rawValue), and one label of several is what can be learned here",
        remedy: "give `labels`: a new head is made for them")
    }
    self.classifier = classifier
    self.labels = labels
    input = try EncoderInput(model)
  }

  public var model: any Model { classifier }

  public var classNames: [String] { labels.names }

  public func on(_ model: any Model) throws(Refusal) -> any Objective { try Classification(model) }

  private func logits(_ batch: Batch, _ run: ModelRun) -> Tensor { classifier.logits(input.encode(batch, run), run) }

  public func loss(_ batch: Batch, scale: Double, _ run: ModelRun) -> Tensor {
    logits(batch, run).classificationLoss(.labels(batch.classes), scale: scale)
  }

  public func judge(_ batch: Batch, _ run: ModelRun) -> Judgement { .classes(logits(batch, run), of: batch) }

  public func answers(_ batch: Batch, _ run: ModelRun) -> Tensor? { logits(batch, run) }

  public func forward(_ batch: Batch, _ run: ModelRun) { _ = input.encode(batch, run) }
}

extension Judgement {
  /// Of logits [examples, classes].
  static func classes(_ logits: Tensor, of batch: Batch) -> Judgement {
    let (values, width) = (logits.values, logits.columns)
    var result = Judgement(loss: 0)
    for (row, label) in batch.classes.enumerated() where label >= 0 {
      let logs = logProbabilities(Array(values[row * width..<(row + 1) * width]))
      result.loss -= logs[Int(label)]
      result.answers.append(.classes(probabilities: logs.map { exp($0) }, label: Int(label)))
    }
    return result
  }
}

/// log softmax.
func logProbabilities(_ logits: [Double]) -> [Double] {
  let highest = logits.max() ?? 0
  let size = highest + log(logits.reduce(0) { $0 + exp($1 - highest) })
  return logits.map { $0 - size }
}

/// What an encoder reads of a batch.
enum EncoderInput: Sendable {
  case texts(any TextEncoder)
  case images(any ImageEncoder)

  init(_ model: any Model) throws(Refusal) {
    if let images = model as? any ImageEncoder {
      self = .images(images)
    } else if let texts = model as? any TextEncoder {
      self = .texts(texts)
    } else {
      throw Refusal("a \(model.modelType) model is no encoder", remedy: "give an encoder, or the task causal_lm")
    }
  }

  func encode(_ batch: Batch, _ run: ModelRun) -> Encoding {
    switch self {
    case .texts(let model): model.encode(batch.ids, types: batch.types, run)
    case .images(let model): model.encode(pixels: batch.pixels(of: model.image, run.scalar), run)
    }
  }
}
