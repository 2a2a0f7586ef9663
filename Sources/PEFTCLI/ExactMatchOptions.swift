import ArgumentParser
import Files
import JSON
import Models
import PEFTKernel
import Registry
import Training

/// Whether a model is left to answer the data's questions, and how long.
struct ExactMatchOptions: ParsableArguments {
  @Flag(
    help: "Let the model answer every row, too, and count the answers that are the data's (of `#### …`, what stands behind it).")
  var exactMatch = false

  @Option(help: "Tokens of an answer at most; default: 256.")
  var maxNewTokens: Int?

  @Option(help: ArgumentHelp("Ask the first so many rows alone.", valueName: "rows"))
  var limit: Int?

  func validate() throws {
    for (name, value) in [("--max-new-tokens", maxNewTokens), ("--limit", limit)] {
      guard let value else { continue }
      if !exactMatch { throw ValidationError("\(name) belongs to --exact-match") }
      if value < 1 { throw ValidationError("\(name) must be at least 1") }
    }
  }

  /// The rows as questions; nil where none are asked for.
  func questions(_ data: String, _ format: RunFile.DataSettings.Format, for model: any LanguageModel) throws -> QuestionSet? {
    exactMatch ? try QuestionSet(data, format: format, limit: limit, for: model) : nil
  }

  /// What a model makes of them, its progress drawn.
  func asked(_ set: QuestionSet?, _ model: any LanguageModel, _ adapter: Adapter?, _ console: Console) throws -> ExactMatch? {
    guard let set else { return nil }
    let result = try ExactMatch.of(model, adapter: adapter, set, maximumTokens: maxNewTokens ?? 256) { soFar in
      if console.isTerminal {
        let bar = ProgressBar(label: "\(soFar.matched) right, asked", step: soFar.asked, steps: set.questions.count)
        console.draw(bar.text(width: console.width, isUnicode: ProgressBar.isUnicode))
      }
      // Whoever would read the result has left.
      return !console.isClosed
    }
    console.draw("")
    return result
  }
}

extension ExactMatch {
  /// `12 of 200 (6 %)`.
  var summary: String { "\(Format.grouped(matched)) of \(Format.grouped(asked)) (\(Format.percent(matched, of: asked)))" }

  /// The count, and the first answers beside what was wanted.
  var lines: [String] {
    var lines = ["exact match \(summary)"]
    if unanswered > 0 { lines.append("no answer   \(Format.grouped(unanswered))") }
    if tooLong > 0 { lines.append("too long    \(Format.grouped(tooLong)) questions, for the model's positions") }
    for example in examples {
      lines.append("")
      lines.append("line \(example.line)  \(example.isMatch ? "right" : example.given == nil ? "no answer" : "wrong")")
      lines.append("  wanted  \(printable(example.wanted))")
      // Where no answer was found, what stands in its place says why.
      lines.append("  got     \(printable(example.given ?? example.generated))")
    }
    return lines
  }

  /// The member of a report.
  var member: JSON.Member { .init("exact_match", json) }
}
