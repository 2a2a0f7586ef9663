import Models
import Registry
import Tokenization

/// Reads the data of a task: files as rows, and rows as examples.
protocol DataReader: Sendable {
  /// Nil where nothing is text.
  var tokenizer: Tokenizer? { get }
  /// Tokens an example may have.
  var limit: Int { get }
  /// The rows of a file, and those that are none.
  func inspect(_ path: String) throws -> (rows: [DataRow], bad: [BadRow])
  /// What makes examples of such rows.
  func encoder(for rows: [DataRow], lossOn: RunFile.DataSettings.LossOn) throws -> any RowEncoder
  /// A row as an example that is only read, whatever is known of it beside.
  func input(_ content: DataRow.Content) throws(RowProblem) -> Example
  /// How a prompt begins that is like a row.
  func opening(like row: DataRow) throws -> PromptOpening
}

extension DataReader {
  func input(_ content: DataRow.Content) throws(RowProblem) -> Example {
    throw RowProblem(reason: "a language model goes on from a text: `generate` does that")
  }

  func opening(like row: DataRow) throws -> PromptOpening { .plain }

  /// Rows of the file `path` as examples that are only read; those that cannot be are an error.
  func inputs(_ rows: [DataRow], of path: String) throws(DataErrors) -> [Example] {
    var (examples, bad): ([Example], [BadRow]) = ([], [])
    for row in rows {
      do throws(RowProblem) { examples.append(try input(row.content)) } catch { bad.append(BadRow(row, of: path, error)) }
    }
    guard bad.isEmpty else { throw DataErrors(bad) }
    return examples
  }

  /// The rows of a file; bad ones are an error.
  func rows(of path: String) throws -> [DataRow] {
    let (rows, bad) = try inspect(path)
    guard bad.isEmpty else { throw DataErrors(bad) }
    guard !rows.isEmpty else { throw DataErrors(messages: ["\(path): the file has no rows; give one JSON object a line"]) }
    return rows
  }
}

/// Reads texts for an encoder of texts.
private protocol TextReader: DataReader, RowEncoder {
  var texts: EncodedTexts { get }
  var format: RunFile.DataSettings.Format { get }
}

extension TextReader {
  var tokenizer: Tokenizer? { texts.tokenizer }
  var limit: Int { texts.limit }
  func inspect(_ path: String) throws -> (rows: [DataRow], bad: [BadRow]) { try DataFile.inspect(path, format: format) }
  func encoder(for rows: [DataRow], lossOn: RunFile.DataSettings.LossOn) -> any RowEncoder { self }
  func input(_ content: DataRow.Content) throws(RowProblem) -> Example { try texts.input(content) }
}

/// Texts with a class, for an encoder of texts.
struct ClassTexts: TextReader {
  fileprivate let texts: EncodedTexts
  fileprivate let format: RunFile.DataSettings.Format
  private let ids: [String: Int32]

  /// `labels` are the classes' names by id.
  init(_ texts: EncodedTexts, labels: [String], format: RunFile.DataSettings.Format = .auto) {
    self.texts = texts
    self.format = format
    ids = labels.ids
  }

  func example(_ content: DataRow.Content) throws(RowProblem) -> (example: Example, length: Int) {
    guard case .labelled(let text, let label) = content else {
      throw RowProblem(reason: "the row has no label: give {\"text\": \"…\", \"label\": \"…\"}")
    }
    guard let id = ids[label] else { throw .unknownLabel(label, ids) }
    let (ids, types, length) = try texts.encode(text)
    return (Example(ids: ids, types: types, target: .label(id)), length)
  }
}

/// Texts that belong together, two and two, for an encoder of texts.
struct TextPairs: TextReader {
  fileprivate let texts: EncodedTexts
  fileprivate let format: RunFile.DataSettings.Format

  init(_ texts: EncodedTexts, format: RunFile.DataSettings.Format = .auto) {
    self.texts = texts
    self.format = format
  }

  func example(_ content: DataRow.Content) throws(RowProblem) -> (example: Example, length: Int) {
    guard case .prompt(let first, let second) = content, !first.isEmpty else {
      throw RowProblem(reason: "the row is no pair of texts: give {\"prompt\": \"…\", \"completion\": \"…\"}, neither empty")
    }
    let (a, b) = (try texts.encode(first), try texts.encode(second))
    let types = a.types.map { $0 + (b.types ?? []) }
    return (Example(ids: a.ids + b.ids, types: types, border: a.ids.count, target: .partner), a.length + b.length)
  }
}

/// Images with a class, for an encoder of images.
struct ClassImages: DataReader, RowEncoder {
  private let shape: ImageShape
  private let rowsPerImage: Int
  private let preprocessing: ImagePreprocessing
  private let ids: [String: Int32]

  init(_ model: any ImageEncoder, labels: [String]) throws {
    shape = model.image
    rowsPerImage = model.rowsPerImage
    preprocessing = try ImagePreprocessing(model.directory)
    ids = labels.ids
  }

  var tokenizer: Tokenizer? { nil }
  var limit: Int { rowsPerImage }
  func encoder(for rows: [DataRow], lossOn: RunFile.DataSettings.LossOn) -> any RowEncoder { self }

  func inspect(_ path: String) throws -> (rows: [DataRow], bad: [BadRow]) {
    try ImageData.inspect(path, for: shape, settings: preprocessing)
  }

  func input(_ content: DataRow.Content) throws(RowProblem) -> Example {
    guard case .image(let pixels, _) = content else { throw RowProblem(reason: "the row is no image") }
    return Example(image: .init(pixels: pixels, rows: rowsPerImage), target: .none)
  }

  func example(_ content: DataRow.Content) throws(RowProblem) -> (example: Example, length: Int) {
    guard case .image(let pixels, let label) = content else { throw RowProblem(reason: "the row is no image") }
    guard let label else { throw RowProblem(reason: "the image has no label") }
    guard let id = ids[label] else { throw .unknownLabel(label, ids) }
    return (Example(image: .init(pixels: pixels, rows: rowsPerImage), target: .label(id)), rowsPerImage)
  }
}

/// How an encoder of texts is given a text.
struct EncodedTexts: Sendable {
  let tokenizer: Tokenizer
  let limit: Int
  /// Whether it reads token types.
  private let hasTypes: Bool

  init(_ model: any TextEncoder, limit: Int) throws {
    tokenizer = try RunSession.tokenizer(of: model)
    self.limit = limit
    hasTypes = model.typeCount > 0
  }

  /// A text by itself, the first of two.
  func input(_ content: DataRow.Content) throws(RowProblem) -> Example {
    switch content {
    case .text(let text), .labelled(let text, _), .prompt(let text, _):
      let (ids, types, _) = try encode(text)
      return Example(ids: ids, types: types, target: .none)
    default: throw RowProblem(reason: "the row is no text by itself: give {\"text\": \"…\"}")
    }
  }

  /// The ids with the tokens that the tokenizer puts around, cut so that these stay; and how many there would be without a limit.
  func encode(_ text: String) throws(RowProblem) -> (ids: [Int32], types: [Int32]?, length: Int) {
    var encoding: Tokenization.Encoding
    let length: Int
    do throws(TokenizerError) {
      encoding = try tokenizer.encoding(of: text)
      length = encoding.ids.count
      if length > limit { encoding = try tokenizer.encoding(of: text, truncation: Truncation(maximumLength: limit)) }
    } catch {
      throw RowProblem(reason: "the tokenizer refuses it: \(error)")
    }
    guard length > 0 else { throw RowProblem(reason: "the text is empty") }
    return (encoding.ids.map { Int32($0) }, hasTypes ? encoding.typeIDs.map { Int32($0) } : nil, length)
  }
}

extension [String] {
  fileprivate var ids: [String: Int32] { Dictionary(enumerated().map { ($1, Int32($0)) }) { first, _ in first } }
}

extension RowProblem {
  fileprivate static func unknownLabel(_ label: String, _ ids: [String: Int32]) -> RowProblem {
    let names = ids.sorted { $0.value < $1.value }.map(\.key)
    let shown = names.prefix(12).joined(separator: ", ") + (names.count > 12 ? ", …" : "")
    return RowProblem(reason: "the label `\(label)` is none of the run's: \(shown); correct it, or name the classes by `labels`")
  }
}

extension [DataRow] {
  /// The names of the classes that the rows have: numbers by size, others by their bytes.
  var labels: [String] {
    let names = Set(compactMap(\.label))
    let numbers = names.compactMap { Int($0) }
    return numbers.count == names.count
      ? names.sorted { (Int($0) ?? 0, $0) < (Int($1) ?? 0, $1) } : names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }
}

extension DataRow {
  /// The name of its class, where it has one.
  var label: String? {
    switch content {
    case .labelled(_, let label): label
    case .image(_, let label): label
    default: nil
    }
  }
}
