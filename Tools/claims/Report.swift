import JSON
import Training

/// docs/claims.md: one table of all claims, and below it what each verdict follows from.
struct Report {
  let results: [PartResult]
  let scale: Scale

  init(_ results: [PartResult], scale: Scale) {
    self.results = results
    self.scale = scale
  }

  private var findings: [Finding] { results.flatMap(\.outcome.findings) }

  /// What all of it took, interruptions left out: every trial, though several parts use it, and the parts that have none.
  private var minutes: Double {
    var trials: [String: Double] = [:]
    func collect(_ json: JSON) -> Bool {
      if let list = json["trials"]?.array {
        for one in list.compactMap({ TrialResult($0) }) { trials["\(one.trial)"] = one.seconds }
        return true
      }
      return (json.members ?? []).filter { collect($0.value) }.count > 0
    }
    let others = results.filter { !collect($0.outcome.data) }
    return (trials.values.reduce(0, +) + others.reduce(0) { $0 + $1.seconds }) / 60
  }

  var text: String {
    func distinct(_ values: [String]) -> String {
      values.reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }.joined(separator: "; ")
    }
    var lines = [
      "# The papers' claims, at the size we can run", "",
      "Made by `Scripts/claims`, never edited: what is here was measured, also where a claim does not hold. A small model and few "
        + "steps say little about large ones: \"no\" means not here. The results in full are in bench/claims; "
        + "`Scripts/claims` goes on where it was stopped.", "",
      "| | |", "|---|---|", "| form | \(scale.name), \(Text.fixed(minutes, 0)) minutes |",
      "| machine | \(distinct(results.map(\.machine))) |",
      "| version | \(distinct(results.map { $0.program + ($0.revision.isEmpty ? "" : " at " + $0.revision) })) |",
      "| date | \(distinct(results.map(\.date))) |", "", "| | claim | holds here? | what came of it |", "|---|---|---|---|",
    ]
    for (index, finding) in findings.enumerated() {
      lines.append("| [\(index + 1)](#\(index + 1)) | \(finding.claim) | **\(finding.verdict.rawValue)** | \(finding.words) |")
    }
    lines += [
      "",
      "\"Not decided\": the 95 % interval of the difference, over the seeds, holds both better and worse. An asterisk at a rate: "
        + "it is the first or last of the grid, and a better one may lie beyond.",
    ]
    for (index, finding) in findings.enumerated() {
      lines += ["", "## \(index + 1)", "", "\(finding.claim): **\(finding.verdict.rawValue)**.", "", finding.setting + ".", ""]
      lines.append("| " + finding.head.joined(separator: " | ") + " |")
      lines.append("|" + String(repeating: "---|", count: finding.head.count))
      lines += finding.rows.map { "| " + $0.joined(separator: " | ") + " |" }
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
