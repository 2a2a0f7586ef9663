import Engine
import Files
import JSON
import Tokenization

/// One row of a data file, as text.
public struct TextExample: Sendable, Hashable {
  /// Context that is not learned; empty where the whole text is.
  public var prompt: String
  public var completion: String
}

/// Every bad row of a data file at once, each with its place.
public struct DataErrors: Error, Sendable, CustomStringConvertible {
  public var messages: [String]

  public var description: String { messages.joined(separator: "\n") }
}

/// Reading of training text: JSONL rows of `prompt` and `completion`, or of `text`; or plain text, one example a line.
public enum DataFile {
  /// Reports every bad row as `file:line: reason`, the first twenty of them.
  public static func read(_ path: String) throws -> [TextExample] {
    guard !TokenFile.isNamed(path) else {
      throw FileError(.badData, path, "holds tensors, not text", remedy: "give token ids as data.tokens")
    }
    var reader = try LineReader(path)
    var examples: [TextExample] = []
    var problems: [String] = []
    let isJSON = path.hasSuffix(".jsonl") || path.hasSuffix(".json")
    while let line = try reader.next() {
      do throws(Problem) {
        examples.append(isJSON ? try row(line.bytes) : try plain(line.bytes))
      } catch {
        // Rows are a stranger's: the error's description leaves no control character in them.
        problems.append(FileError(.badData, "\(path):\(line.number)", error.reason).description)
      }
    }
    if examples.isEmpty, problems.isEmpty { problems = ["\(path): the file has no rows; give one JSON object a line"] }
    guard problems.isEmpty else {
      let rest = problems.count - 20
      throw DataErrors(messages: problems.prefix(20) + (rest > 0 ? ["… and \(rest) more bad rows"] : []))
    }
    return examples
  }

  private struct Problem: Error { var reason: String }

  private static func plain(_ bytes: UnsafeRawBufferPointer) throws(Problem) -> TextExample {
    guard let text = String(validating: bytes, as: UTF8.self) else { throw Problem(reason: "not UTF-8") }
    return TextExample(prompt: "", completion: text)
  }

  private static func row(_ bytes: UnsafeRawBufferPointer) throws(Problem) -> TextExample {
    let json: JSON
    do throws(JSONError) { json = try JSON(parsing: bytes) } catch {
      throw Problem(reason: "not JSON: \(error.message) (column \(error.column))")
    }
    guard let members = json.members else { throw Problem(reason: "a row must be an object, such as {\"text\": \"…\"}") }
    func text(_ key: String) throws(Problem) -> String? {
      guard let value = json[key] else { return nil }
      guard let text = value.string else { throw Problem(reason: "\"\(key)\" must be text") }
      return text
    }
    if let prompt = try text("prompt") {
      guard let completion = try text("completion") else { throw Problem(reason: "a row with \"prompt\" needs \"completion\"") }
      guard !completion.isEmpty else { throw Problem(reason: "\"completion\" is empty: nothing to learn") }
      return TextExample(prompt: prompt, completion: completion)
    }
    if let whole = try text("text") {
      guard !whole.isEmpty else { throw Problem(reason: "\"text\" is empty: nothing to learn") }
      return TextExample(prompt: "", completion: whole)
    }
    let keys = members.map { "\"\($0.key)\"" }.joined(separator: ", ")
    throw Problem(reason: "a row needs \"prompt\" and \"completion\", or \"text\"; it has \(keys.isEmpty ? "nothing" : keys)")
  }
}

/// Text to token ids, for training.
public struct Encoder: Sendable {
  public let tokenizer: Tokenizer
  /// Closes every example; nil where the model has none.
  public let endOfText: Int?
  /// Whether prompts are learned too.
  public let learnsPrompt: Bool
  /// Tokens at most; longer examples are cut.
  public let maximumLength: Int

  public init(tokenizer: Tokenizer, endOfText: Int?, learnsPrompt: Bool, maximumLength: Int) {
    self.tokenizer = tokenizer
    self.endOfText = endOfText
    self.learnsPrompt = learnsPrompt
    self.maximumLength = maximumLength
  }

  /// The prompt and its completion on the next line, closed by the end-of-text token.
  ///
  /// Where prompts are not learned, they are encoded apart, so that the border falls between tokens.
  public func example(_ text: TextExample) -> Example { cutExample(text).example }

  private func cutExample(_ text: TextExample) -> (example: Example, isCut: Bool) {
    let prompt = text.prompt.isEmpty ? [] : tokenizer.encode(text.prompt + "\n")
    let completion = tokenizer.encode(text.completion, addSpecialTokens: text.prompt.isEmpty)
    let ids = prompt + completion + (endOfText.map { [$0] } ?? [])
    let example = Example(
      ids: ids.prefix(maximumLength).map { Int32($0) }, learnedFrom: learnsPrompt ? 0 : min(prompt.count, maximumLength))
    return (example, ids.count > maximumLength)
  }

  /// All examples, in order, without those in which cutting left nothing to learn.
  public func examples(_ texts: [TextExample]) -> (examples: [Example], cut: Int, dropped: Int) {
    var examples: [Example] = []
    var (cut, dropped) = (0, 0)
    for text in texts {
      let (example, isCut) = cutExample(text)
      if isCut { cut += 1 }
      if example.labelCount > 0 { examples.append(example) } else { dropped += 1 }
    }
    return (examples, cut, dropped)
  }
}

/// Pre-tokenised batches: `input_ids [steps, batch, seq]`, in order.
public enum TokenFile {
  /// Whether a path is one by its name.
  static func isNamed(_ path: String) -> Bool { path.hasSuffix(".safetensors") }

  /// The examples in order: every `batch` of them are one step. Ids must lie below `vocabulary`.
  public static func read(_ path: String, vocabulary: Int) throws -> (examples: [Example], batchSize: Int) {
    let file = try SafetensorsFile(path)
    guard let entry = file.entry("input_ids"), entry.shape.count == 3, entry.shape.allSatisfy({ $0 > 0 }) else {
      throw FileError(
        .badData, path, "has no tensor input_ids of shape [steps, batch, sequence]",
        cause: "it holds " + file.tensors.map { "\($0.name) \($0.shape)" }.joined(separator: ", "))
    }
    guard entry.shape[2] > 1 else {
      throw FileError(.badData, path, "input_ids holds sequences of one id, of which nothing can be learned")
    }
    let ids = try file.ints(of: "input_ids")
    if let bad = ids.first(where: { $0 < 0 || $0 >= vocabulary }) {
      throw FileError(.badData, path, "input_ids holds the id \(bad), but the model knows ids 0 to \(vocabulary - 1)")
    }
    let length = entry.shape[2]
    let examples = stride(from: 0, to: ids.count, by: length).map { start in
      Example(ids: ids[start..<start + length].map { Int32($0) })
    }
    return (examples, entry.shape[1])
  }
}
