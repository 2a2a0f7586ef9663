import Training

/// A comparison as rows of words, for the terminal and the page, and as rows of numbers, for other programs.
struct ComparisonTable {
  let summary: ComparisonSummary

  init(_ summary: ComparisonSummary) { self.summary = summary }

  struct Column {
    var title: String
    /// What the number is, in a sentence.
    var meaning: String
    var cell: (ComparisonSummary.Row) -> String
  }

  var columns: [Column] {
    let baseline = summary.baseline
    return columns(before: baseline) + figures + columns(behind: baseline)
  }

  private func columns(before baseline: String) -> [Column] {
    [
      Column(title: "method", meaning: "as it was named") { $0.label },
      Column(title: "rate", meaning: "the peak learning rate with the lowest validation loss; * at an edge of the grid") { row in
        row.rate.map { "\($0)\(row.isAtEdge ? "*" : "")" } ?? "–"
      },
      Column(title: "held-out loss", meaning: "nats a token or an example at the end, mean over the seeds ± 95 % t-interval") {
        row in
        guard row.diverged == 0, row.rate != nil else {
          return row.rate == nil ? "diverged at every rate" : "diverged (\(row.diverged) of \(row.trials.count))"
        }
        return row.heldOut.map { Self.interval($0) } ?? "–"
      },
      Column(title: "minus \(baseline)", meaning: "difference to \(baseline) seed by seed, ± 95 % t-interval") { row in
        row.label == baseline ? "" : row.difference.map { Self.interval($0, signed: true) } ?? "–"
      },
    ]
  }

  /// What is measured beside the loss, by the names that evaluations give it.
  private var keys: [String] {
    var keys: [String] = []
    for figure in summary.rows.flatMap(\.figures) where !keys.contains(figure.key) { keys.append(figure.key) }
    return keys
  }

  private var figures: [Column] {
    keys.map { key in
      let title = key.replacing("_", with: " ")
      return Column(title: title, meaning: "\(title) on the held-out part at the end, mean over the seeds ± 95 % t-interval") {
        row in
        row.figures.first { $0.key == key }.map { Self.interval($0.interval) } ?? "–"
      }
    }
  }

  private func columns(behind baseline: String) -> [Column] {
    [
      Column(
        title: "steps to \(baseline)'s end",
        meaning:
          "until the mean validation loss is as low as that of \(baseline) at its end, straight between evaluations; – never"
      ) { row in row.stepsToBaseline.map { Format.fixed($0, 0) } ?? "–" },
      Column(title: "trainable", meaning: "numbers that are trained") { Format.grouped($0.trainable) },
      Column(title: "s/step", meaning: "seconds, the median") { Format.significant($0.stepSeconds, 3) },
      Column(
        title: "peak tensors",
        meaning:
          "the most that tensors of the start or of a step held at once; without the base as its file holds it, and the program"
      ) { Format.bytes($0.peakBytes) },
      Column(title: "adapter", meaning: "bytes of its weights file; of a base that is trained, its tensors in 32 bits") {
        $0.adapterBytes.map(Format.bytes) ?? "–"
      },
      Column(title: "forgetting", meaning: "change of the loss on the base's own text, ± 95 % t-interval") { row in
        row.forgetting.map { Self.interval($0, signed: true) } ?? "–"
      },
    ]
  }

  /// `3.4120 ± 0.0140`.
  static func interval(_ interval: Interval, signed: Bool = false) -> String {
    let mean = (signed && interval.mean >= 0 ? "+" : "") + Format.fixed(interval.mean, 4)
    return mean + (interval.halfWidth.map { " ± \(Format.fixed($0, 4))" } ?? "")
  }

  var rows: [[String]] { summary.rows.map { row in columns.map { $0.cell(row) } } }

  /// What the reader of the table has to know.
  var notes: [String] {
    var notes: [String] = []
    let choice =
      summary.rates.count > 1
      ? "each at the best of \(summary.rates.count) rates (\(summary.rates.map { "\($0)" }.joined(separator: ", "))), chosen on the "
        + "validation part with \(Self.count(summary.selectionSeeds, "seed"))" : "all at the rate \(summary.rates[0])"
    notes.append("\(summary.steps) steps, \(Self.count(summary.seeds.count, "seed")); \(choice)")
    if let heldOut = summary.base.heldOut { notes.append("the untouched base: held-out loss \(Format.fixed(heldOut, 4))") }
    for row in summary.rows where row.isAtEdge {
      let edge = row.rate == summary.rates.first ? "lowest" : "highest"
      notes.append("* \(row.label): its best rate is the grid's \(edge); a better one may lie beyond")
    }
    if summary.rows.allSatisfy({ $0.forgetting == nil && $0.diverged == 0 }) {
      notes.append("forgetting is not measured: the base's own text is not known; name it with --own-text")
    }
    if summary.seeds.count == 1 { notes.append("one seed tells nothing of luck: no intervals") }
    return notes
  }

  /// For the terminal.
  var lines: [String] {
    let table = Format.table([columns.map(\.title)] + rows, right: Set(1..<columns.count))
    return table + [""] + notes
  }

  private static func count(_ number: Int, _ word: String) -> String { "\(number) \(word)\(number == 1 ? "" : "s")" }

  // MARK: CSV

  /// RFC 4180, a row for each method; what there is not is empty.
  var csv: String {
    let names = [
      "method", "entry", "optimizer", "rate", "rate_at_edge", "seeds", "diverged", "held_out_loss", "held_out_half_width",
      "difference", "difference_half_width", "steps_to_baseline", "trainable", "seconds_per_step", "peak_tensor_bytes",
      "adapter_bytes", "forgetting", "forgetting_half_width",
    ]
    let keys = keys
    let further = keys.flatMap { [$0, $0 + "_half_width"] }
    func number(_ value: Double?) -> String { value.map { "\($0)" } ?? "" }
    let rows = summary.rows.map { row in
      [
        row.label, row.method, row.optimizer, number(row.rate), "\(row.isAtEdge)", "\(row.trials.count)", "\(row.diverged)",
        number(row.heldOut?.mean), number(row.heldOut?.halfWidth), number(row.difference?.mean),
        number(row.difference?.halfWidth), number(row.stepsToBaseline), "\(row.trainable)", number(row.stepSeconds),
        "\(row.peakBytes)", row.adapterBytes.map { "\($0)" } ?? "", number(row.forgetting?.mean),
        number(row.forgetting?.halfWidth),
      ]
        + keys.flatMap { key in
          let interval = row.figures.first { $0.key == key }?.interval
          return [number(interval?.mean), number(interval?.halfWidth)]
        }
    }
    return ([names + further] + rows).map { $0.map(Self.field).joined(separator: ",") + "\r\n" }.joined()
  }

  private static func field(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: { ",\"\r\n".unicodeScalars.contains($0) }) else { return text }
    return "\"" + text.replacing("\"", with: "\"\"") + "\""
  }
}
