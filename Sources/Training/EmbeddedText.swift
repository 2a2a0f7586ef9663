import Models
import PEFTKernel
import Registry
import Tokenization

extension MethodEntry {
  /// The same method with numbers in place of every text that stands for an embedding: the mean of its tokens' rows in the
  /// model's frozen table, brought to a root mean square of 1. They are constants of the run.
  func embeddingTexts(
    _ registry: MethodRegistry, _ model: any Model, _ tokenizer: Tokenizer?
  ) throws -> MethodEntry {
    var entry = self
    for option in registry.axes.projections[projection.name]?.options ?? [] where option.kind == .embedding {
      guard case .string(let text)? = projection.options[option.name] else { continue }
      guard let model = model as? any LanguageModel else {
        throw Refusal("\(option.name): no text stands for an embedding in a \(model.modelType) model", remedy: "give numbers")
      }
      let ids = try (tokenizer ?? RunSession.tokenizer(of: model)).encode(text).map { Int32($0) }
      guard !ids.isEmpty else { throw Refusal("\(option.name): the text has no tokens") }
      let (rows, width) = (model.embeddings(of: ids).values, model.hiddenSize)
      let mean = (0..<width).map { column in
        stride(from: column, to: rows.count, by: width).reduce(0) { $0 + rows[$1] } / Double(ids.count)
      }
      let size = (mean.reduce(0) { $0 + $1 * $1 } / Double(width) + 1e-6).squareRoot()
      entry.projection.options[option.name] = .list(mean.map { .double($0 / size) })
    }
    return entry
  }
}
