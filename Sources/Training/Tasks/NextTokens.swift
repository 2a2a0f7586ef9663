import Engine
import Models
import PEFTKernel

/// A language model learns to predict the next token: −log p of every token that is learned.
public struct NextTokens: Objective {
  public let language: any LanguageModel

  public init(_ language: any LanguageModel) { self.language = language }

  public var model: any Model { language }

  public func on(_ model: any Model) throws(Refusal) -> any Objective {
    guard let language = model as? any LanguageModel else { throw .unfit(model, "a language model") }
    return NextTokens(language)
  }

  public func loss(_ batch: Batch, scale: Double, _ run: ModelRun) -> Tensor {
    language.loss(batch.ids, labels: batch.labels, scale: scale, run)
  }

  public func forward(_ batch: Batch, _ run: ModelRun) { _ = language.hidden(batch.ids, run) }
}

extension Refusal {
  static func unfit(_ model: any Model, _ wanted: String) -> Refusal {
    Refusal("\(model.directory.path) is a \(model.modelType) model, where \(wanted) is needed")
  }
}
