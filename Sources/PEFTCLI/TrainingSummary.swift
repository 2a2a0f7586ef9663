import Engine
import Files
import JSON
import Training

/// What a run changed, and what can be done with its results.
struct TrainingSummary {
  typealias Sample = (prompt: String, before: String, after: String)

  let session: RunSession
  let outcome: TrainingOutcome
  let before: Evaluation?
  let totals: (firstLoss: Double?, lastLoss: Double?, tokens: Int, seconds: Double)

  func lines(samples: [Sample]) -> [String] {
    var lines = [""]
    let rate = totals.seconds > 0 ? ", \(Format.grouped(Int(min(1e12, Double(totals.tokens) / totals.seconds)))) tok/s" : ""
    lines.append("\(session.entry.name): \(outcome.steps) steps done (\(Format.duration(totals.seconds))\(rate))")
    lines.append("")
    var table = [["", "before", "after"]]
    if let before, let after = outcome.after {
      table.append(["evaluation loss", Format.fixed(before.loss, 4), Format.fixed(after.loss, 4)])
      for (old, new) in zip(before.figures, after.figures) {
        table.append([new.name, Format.significant(old.value), Format.significant(new.value)])
      }
    }
    if let test = outcome.test {
      table.append(["test loss", "", Format.fixed(test.loss, 4)])
      for figure in test.figures { table.append(["test \(figure.name)", "", Format.significant(figure.value)]) }
    }
    if let first = totals.firstLoss, let last = totals.lastLoss {
      table.append(["training loss (first and last step)", Format.fixed(first, 4), Format.fixed(last, 4)])
    }
    if table.count > 1 { lines += Format.table(table, right: [1, 2]) + [""] }
    for sample in samples {
      lines.append("prompt  \(Self.indented(sample.prompt))")
      lines.append("before  \(Self.indented(sample.before))")
      lines.append("after   \(Self.indented(sample.after))")
      lines.append("")
    }
    let share = Format.percent(outcome.trainable, of: outcome.total)
    if let memory = ProcessMemory.current { lines.append("peak memory: \(Format.bytes(memory.peak))") }
    lines.append(
      "trainable parameters: \(Format.grouped(outcome.trainable)) of \(Format.grouped(outcome.total)) (\(share))")
    return lines + whereabouts
  }

  func json(samples: [Sample]) -> JSON {
    func evaluation(_ evaluation: Evaluation?) -> JSON {
      evaluation.map { .object($0.members) } ?? .null
    }
    return [
      "event": .string(outcome.end == .finished ? "finished" : "stopped"), "method": .string(session.entry.name),
      "steps": .int(outcome.steps), "before": evaluation(before), "after": evaluation(outcome.after),
      "test": evaluation(outcome.test),
      "first_loss": totals.firstLoss.map { .double($0) } ?? .null, "last_loss": totals.lastLoss.map { .double($0) } ?? .null,
      "tokens": .int(totals.tokens), "seconds": .double(totals.seconds),
      "peak_rss": ProcessMemory.current.map { .int($0.peak) } ?? .null, "trainable": .int(outcome.trainable),
      "total": .int(outcome.total), "adapter": outcome.adapterPath.map { .string($0) } ?? .null,
      "model": outcome.modelPath.map { .string($0) } ?? .null, "output_dir": .string(session.file.outputDir),
      "samples": .array(
        samples.map { ["prompt": .string($0.prompt), "before": .string($0.before), "after": .string($0.after)] }),
    ]
  }

  /// Where the results lie and the commands that use them.
  private var whereabouts: [String] {
    let program = Invocation.command
    var lines: [String] = []
    if let path = outcome.modelPath { lines.append("model: \(Format.path(path))") }
    if let path = outcome.adapterPath { lines.append("adapter: \(Format.path(path))") }
    guard !lines.isEmpty else { return lines }
    // A base that was trained along is the one the adapter belongs to.
    var files = "--model \(typed(outcome.modelPath ?? session.file.baseModel))"
    if let path = outcome.adapterPath { files += " --adapter \(typed(path))" }
    var hints: [String] = []
    if session.language != nil, Folder.isFile(Folder.join(session.model.directory.path, "tokenizer.json")) {
      // Only the model's own template is there when the run file is not.
      let flag =
        switch session.opening {
        case .plain: ""
        case .ask: "--ask "
        case .chat: session.file.data.chatTemplate == nil ? "--chat " : ""
        }
      hints.append("try it    \(program) generate \(files) \(flag)--prompt '…'")
    }
    switch session.file.task {
    case .sequenceClassification: hints.append("try it    \(program) predict \(files) --text '…'")
    case .sentenceEmbedding: hints.append("try it    \(program) predict \(files) --task sentence_embedding --text '…'")
    case .imageClassification: hints.append("try it    \(program) predict \(files) --data IMAGES")
    case .causalLM, .imageTextClassification: break
    }
    // What depends on the input is no change of weights: it can neither be merged nor become a LoRA.
    if outcome.adapterPath != nil, let site = outcome.adapter.sites.first, (try? outcome.adapter.change(at: site)) != nil {
      for (word, command, folder) in [("merge it ", "merge", "merged"), ("export it", "export", "peft")] {
        hints.append("\(word) \(program) \(command) \(files) --out \(typed(Folder.join(session.file.outputDir, folder)))")
      }
    }
    return lines + (hints.isEmpty ? [] : [""] + hints)
  }

  /// A path as it can be typed into a shell here.
  private func typed(_ path: String) -> String { shellQuoted(Format.path(path)) }

  /// Further lines of a text stand under its first.
  private static func indented(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\n        ")
  }
}
