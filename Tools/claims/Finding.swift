import JSON

/// What was measured of one claim.
struct Finding: Sendable {
  enum Verdict: String, Sendable {
    case yes, partly, no
    case undecided = "not decided"
  }

  /// What is said, and where.
  var claim: String
  /// How it was measured here, and what counts as holding.
  var setting: String
  var head: [String]
  var rows: [[String]]
  var verdict: Verdict
  /// What came of it, in words and numbers.
  var words: String
}

/// Claims that are measured together, the unit that is resumed.
struct Part: Sendable {
  struct Outcome: Sendable {
    var findings: [Finding]
    /// What the findings follow from.
    var data: JSON
  }

  var name: String
  var run: @Sendable (Bench) async throws -> Outcome
}

/// A part that is done.
struct PartResult: Sendable {
  var name: String
  var scale: String
  var revision: String
  var program: String
  var machine: String
  var date: String
  var seconds: Double
  var outcome: Part.Outcome
}

extension Finding {
  var json: JSON {
    func list(_ words: [String]) -> JSON { .array(words.map { .string($0) }) }
    return [
      "claim": .string(claim), "setting": .string(setting), "head": list(head), "rows": .array(rows.map(list)),
      "verdict": .string(verdict.rawValue), "words": .string(words),
    ]
  }

  init?(_ json: JSON) {
    func list(_ json: JSON?) -> [String] { json?.array?.compactMap(\.string) ?? [] }
    guard let claim = json["claim"]?.string, let setting = json["setting"]?.string, let words = json["words"]?.string,
      let verdict = json["verdict"]?.string.flatMap(Verdict.init), let rows = json["rows"]?.array
    else { return nil }
    self.init(
      claim: claim, setting: setting, head: list(json["head"]), rows: rows.map(list), verdict: verdict, words: words)
  }
}

extension PartResult {
  var json: JSON {
    [
      "format": "peft-claims-1", "part": .string(name), "scale": .string(scale), "revision": .string(revision),
      "program": .string(program), "machine": .string(machine), "date": .string(date), "seconds": .double(seconds),
      "findings": .array(outcome.findings.map(\.json)), "data": outcome.data,
    ]
  }

  init?(_ json: JSON) {
    func text(_ key: String) -> String { json[key]?.string ?? "" }
    guard let seconds = json["seconds"]?.double, let findings = json["findings"]?.array, let data = json["data"] else {
      return nil
    }
    self.init(
      name: text("part"), scale: text("scale"), revision: text("revision"), program: text("program"), machine: text("machine"),
      date: text("date"), seconds: seconds,
      outcome: Part.Outcome(findings: findings.compactMap(Finding.init), data: data))
  }
}
