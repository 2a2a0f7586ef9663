import Engine
import Models
import PEFTKernel

/// Images learn to be near the text of their class, among the texts of all classes: −log softmax of their logits.
///
/// No head is made: classes are what their texts say, "a photo of a cat." Both encoders are run in every step, the one of texts over
/// one text a class.
public struct ImageTexts: Objective {
  public let pair: any ImageTextModel
  public let labels: ClassLabels
  /// The texts of the classes as token ids, in the order of the labels.
  let texts: Batch

  public init(_ pair: any ImageTextModel, labels: ClassLabels, texts: [[Int32]]) {
    self.init(pair, labels: labels, texts: Batch(texts.map { Example(ids: $0, target: .none) }))
  }

  private init(_ pair: any ImageTextModel, labels: ClassLabels, texts: Batch) {
    self.pair = pair
    self.labels = labels
    self.texts = texts
  }

  public var model: any Model { pair }

  public func on(_ model: any Model) throws(Refusal) -> any Objective {
    guard let pair = model as? any ImageTextModel else { throw .unfit(model, "an encoder of images and texts") }
    return ImageTexts(pair, labels: labels, texts: texts)
  }

  /// [images, classes].
  public func logits(_ batch: Batch, _ run: ModelRun) -> Tensor {
    let images = pair.embeddings(ofImages: pair.encode(pixels: batch.pixels(of: pair.image, run.scalar), run), run)
    let texts = run.over(texts.rows) { run in pair.embeddings(ofTexts: pair.encode(self.texts.ids, run), run) }
    return pair.logitsPerImage(images: images, texts: texts, run)
  }

  public var classNames: [String] { labels.names }

  public func loss(_ batch: Batch, scale: Double, _ run: ModelRun) -> Tensor {
    logits(batch, run).classificationLoss(.labels(batch.classes), scale: scale)
  }

  public func judge(_ batch: Batch, _ run: ModelRun) -> Judgement { .classes(logits(batch, run), of: batch) }

  public func answers(_ batch: Batch, _ run: ModelRun) -> Tensor? { logits(batch, run) }

  public func forward(_ batch: Batch, _ run: ModelRun) { _ = logits(batch, run) }
}
