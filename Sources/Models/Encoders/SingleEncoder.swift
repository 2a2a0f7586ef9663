import Engine
import PEFTKernel

/// One encoder of texts, with a head perhaps.
struct SingleTextEncoder: BodiedModel, TextEncoder, Classifier {
  let body: ModelBody
  let encoder: Encoder
  let text: EncoderConfig.Text
  let head: ClassificationHead?

  var vocabularySize: Int { text.vocabularySize }
  var maximumPositions: Int { text.longest }
  var hiddenSize: Int { encoder.config.hiddenSize }
  var typeCount: Int { text.typeCount }
  var labels: ClassLabels? { head?.plan.labels }

  func encode(_ ids: [Int32], types: [Int32]?, _ run: ModelRun) -> Encoding { encoder.encode(ids, types: types, text, run) }

  func logits(_ encoding: Encoding, _ run: ModelRun) -> Tensor { ClassificationHead.logits(head, encoding, run) }
}

/// One encoder of images, with a head perhaps.
struct SingleImageEncoder: BodiedModel, ImageEncoder, Classifier {
  let body: ModelBody
  let encoder: Encoder
  let settings: EncoderConfig.Image
  let head: ClassificationHead?

  var image: ImageShape { settings.shape }
  var rowsPerImage: Int { settings.patchCount + 1 }
  var labels: ClassLabels? { head?.plan.labels }

  func encode(pixels: Tensor, _ run: ModelRun) -> Encoding { encoder.encode(pixels, settings, run) }

  func logits(_ encoding: Encoding, _ run: ModelRun) -> Tensor { ClassificationHead.logits(head, encoding, run) }
}

extension ClassificationHead {
  fileprivate static func logits(_ head: ClassificationHead?, _ encoding: Encoding, _ run: ModelRun) -> Tensor {
    guard let head else { preconditionFailure("there is no head: see labels") }
    return head.logits(encoding, run)
  }
}
