import Engine
import PEFTKernel

/// An encoder of texts and one of images, each with a projection to what is compared.
struct DualEncoder: BodiedModel, ImageTextModel {
  let body: ModelBody
  let text: (encoder: Encoder, settings: EncoderConfig.Text, projection: SiteMap)
  let vision: (encoder: Encoder, settings: EncoderConfig.Image, projection: SiteMap)
  /// Logarithm of the factor of the logits, one number.
  let scale: (name: String, value: Tensor)

  var vocabularySize: Int { text.settings.vocabularySize }
  var maximumPositions: Int { text.settings.longest }
  var hiddenSize: Int { text.encoder.config.hiddenSize }
  var typeCount: Int { text.settings.typeCount }
  var image: ImageShape { vision.settings.shape }
  var rowsPerImage: Int { vision.settings.patchCount + 1 }
  var projectionSize: Int { text.projection.part.site.outputs }

  func encode(_ ids: [Int32], types: [Int32]?, _ run: ModelRun) -> Encoding {
    text.encoder.encode(ids, types: types, text.settings, run)
  }

  func encode(pixels: Tensor, _ run: ModelRun) -> Encoding { vision.encoder.encode(pixels, vision.settings, run) }

  func embeddings(ofTexts encoding: Encoding, _ run: ModelRun) -> Tensor { projected(encoding, text.projection, run) }

  func embeddings(ofImages encoding: Encoding, _ run: ModelRun) -> Tensor { projected(encoding, vision.projection, run) }

  private func projected(_ encoding: Encoding, _ projection: SiteMap, _ run: ModelRun) -> Tensor {
    guard let pooled = encoding.pooled else { preconditionFailure("these encoders pool") }
    return run.pooled { projection(pooled, $0) }.unitRows()
  }

  func logitsPerImage(images: Tensor, texts: Tensor, _ run: ModelRun) -> Tensor {
    let products = images.multiplied(byTransposeOf: texts)
    let scale = (run.trained[scale.name] ?? scale.value.converted(to: run.scalar)).reshaped([1]).exp
    return products.reshaped([products.count, 1]).multipliedByRow(scale).reshaped(products.shape)
  }
}
