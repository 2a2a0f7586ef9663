import Engine
import Files
import JSON
import Models
import PEFTKernel

/// How often a model, left to speak, gives the very answer of the data.
///
/// Where the data's answer ends in `#### …`, what stands behind the model's own last `####` must be the same (see ``FinalAnswer``);
/// else the whole texts must be, without the blanks around them, byte by byte. The likeliest token is taken every time.
public struct ExactMatch: Sendable, Hashable {
  /// An answer that was given.
  public struct Answer: Sendable, Hashable {
    /// Where the row begins in its file, counted from 1.
    public var line: Int
    /// All of what the data says, and what the model said.
    public var reference: String
    public var generated: String
    /// What was compared; nil where the model gave no answer.
    public var wanted: String
    public var given: String?

    public var isMatch: Bool { given?.utf8.elementsEqual(wanted.utf8) ?? false }
  }

  /// Questions that were put.
  public private(set) var asked = 0
  /// Those whose answer is the data's.
  public private(set) var matched = 0
  /// Those that have no answer: no `####` where one was wanted, or nothing but blanks.
  public private(set) var unanswered = 0
  /// Those among them that were not put, being longer than the model's positions.
  public private(set) var tooLong = 0
  /// The first answers, right or wrong.
  public private(set) var examples: [Answer] = []
  /// How many of these are kept.
  public let kept: Int

  public init(kept: Int = 3) { self.kept = kept }

  /// ``matched`` / ``asked``; 0 of none.
  public var share: Double { asked == 0 ? 0 : Double(matched) / Double(asked) }

  /// Takes what a model said to a question; nil where it could not be asked.
  public mutating func add(_ question: Question, _ generated: String?) {
    let answer = Self.answer(question, generated ?? "")
    asked += 1
    if answer.isMatch { matched += 1 }
    if answer.given == nil { unanswered += 1 }
    if generated == nil { tooLong += 1 }
    if examples.count < kept { examples.append(answer) }
  }

  private static func answer(_ question: Question, _ generated: String) -> Answer {
    let final = FinalAnswer(in: question.reference)
    let whole = generated.trimmingBlanks
    return Answer(
      line: question.line, reference: question.reference, generated: generated,
      wanted: final?.text ?? question.reference.trimmingBlanks,
      given: final == nil ? (whole.isEmpty ? nil : whole) : FinalAnswer(in: generated)?.text)
  }

  /// Asks a model all questions, one after the other.
  ///
  /// - Parameters:
  ///   - trained: base tensors that stand for the model's own, as in `ModelRun`.
  ///   - maximumTokens: of an answer.
  ///   - kept: how many answers are kept as examples.
  ///   - seen: shown the count after every answer; ends the questions by returning false.
  /// - Throws: where a question has ids that the model does not know.
  public static func of(
    _ model: any LanguageModel, adapter: Adapter?, trained: [String: Tensor] = [:], _ set: QuestionSet, maximumTokens: Int,
    kept: Int = 3, seen: (ExactMatch) -> Bool = { _ in true }
  ) throws(FileError) -> ExactMatch {
    var result = ExactMatch(kept: kept)
    let attachment = adapter?.attached()
    for question in set.questions {
      let turn = question.isTurn ? set.endOfTurn : nil
      if question.prompt.count > model.maximumPositions {
        result.add(question, nil)
      } else {
        let generator = try TokenGenerator(
          model, prompt: question.prompt, maximumTokens: maximumTokens, stopIDs: set.ends.union(turn?.ids ?? []),
          attachment: attachment, trained: trained)
        result.add(question, generator.text(set.tokenizer, stops: turn?.texts ?? []))
      }
      guard seen(result) else { break }
    }
    return result
  }
}

extension ExactMatch {
  /// Keys in this order; `answer` is what was compared with `expected`, `null` where there was none.
  public var json: JSON {
    [
      "matched": .int(matched), "asked": .int(asked), "share": .double(share), "unanswered": .int(unanswered),
      "too_long": .int(tooLong),
      "examples": .array(
        examples.map {
          [
            "line": .int($0.line), "matched": .bool($0.isMatch), "expected": .string($0.wanted),
            "answer": $0.given.map { .string($0) } ?? .null, "text": .string($0.generated),
          ]
        }),
    ]
  }
}
