import Engine
import Files
import PEFTKernel

/// What an encoder makes of the sequences of a pass.
public struct Encoding: Sendable {
  /// The last hidden states, after the final norm where there is one, [T, hidden]; T are the rows of the pass.
  public var hidden: Tensor
  /// One row a sequence, [sequences, width]: the pooler's output, or what an image-text model compares before projection. Nil where
  /// the model has no pooler.
  public var pooled: Tensor?

  public init(hidden: Tensor, pooled: Tensor? = nil) {
    self.hidden = hidden
    self.pooled = pooled
  }
}

/// Encodes texts as token ids. The pass of the run says how rows divide into sequences and which are padding.
///
/// Sequences are of one row at least. Rows of padding are computed with, but nobody looks at them.
public protocol TextEncoder: TextModel {
  /// How many token types there are; 0 where the model reads none.
  var typeCount: Int { get }
  /// `types` are 0 where nil, and must be nil where the model reads none.
  func encode(_ ids: [Int32], types: [Int32]?, _ run: ModelRun) -> Encoding
}

extension TextEncoder {
  public func encode(_ ids: [Int32], _ run: ModelRun) -> Encoding { encode(ids, types: nil, run) }

  /// Refuses token types that this model has no embedding for.
  public func check(types: some Sequence<Int32>) throws(FileError) {
    guard let type = types.first(where: { $0 < 0 || $0 >= typeCount }) else { return }
    throw FileError(
      .badData, directory.path, "token type \(type) is not among the model's \(typeCount)",
      remedy: typeCount < 2 ? "leave token types out" : "use the model's own tokenizer")
  }
}

/// Encodes images as pixels [B, channels, height, width].
public protocol ImageEncoder: Model {
  var image: ImageShape { get }
  /// How many rows an image takes: its patches and the class row.
  var rowsPerImage: Int { get }
  /// The pass of the run has a sequence of ``rowsPerImage`` rows for each image, see ``rows(images:)``.
  func encode(pixels: Tensor, _ run: ModelRun) -> Encoding
}

extension ImageEncoder {
  /// The rows of a pass over that many images.
  public func rows(images: Int) -> RowLayout { RowLayout(sequences: images, length: rowsPerImage) }

  /// Refuses pixels of another extent than the model's: positions are not interpolated.
  public func check(pixels shape: [Int]) throws(FileError) {
    let wanted = [image.channels, image.height, image.width]
    guard shape.count != 4 || shape[0] < 1 || Array(shape.dropFirst()) != wanted else { return }
    throw FileError(
      .badData, directory.path, "images of shape \(shape) are not what the model reads",
      cause: "it reads [images, \(wanted[0]) channels, height \(wanted[1]), width \(wanted[2])]",
      remedy: "scale the images to that size")
  }
}

/// A model with a head that tells classes apart, or one that may be given such a head.
public protocol Classifier: Model {
  /// Nil where there is no head.
  var labels: ClassLabels? { get }
  /// [sequences, labels] of what the model's encoder made of the same run. There must be a head.
  func logits(_ encoding: Encoding, _ run: ModelRun) -> Tensor
}

/// Two encoders whose outputs are compared.
///
/// Texts and images are two runs with a pass of rows each.
public protocol ImageTextModel: TextEncoder, ImageEncoder {
  /// Width of what is compared.
  var projectionSize: Int { get }
  /// [texts, projectionSize] of length 1, of what `encode(_:types:_:)` made of the same run.
  func embeddings(ofTexts encoding: Encoding, _ run: ModelRun) -> Tensor
  /// [images, projectionSize] of length 1, of what `encode(pixels:_:)` made of the same run.
  func embeddings(ofImages encoding: Encoding, _ run: ModelRun) -> Tensor
  /// e^logit_scale · images · textsᵀ: [images, texts].
  func logitsPerImage(images: Tensor, texts: Tensor, _ run: ModelRun) -> Tensor
}
