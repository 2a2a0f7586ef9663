/// The grid as a page: three tables, their counts, and the rules that refuse.
public enum GridDocument {
  /// What makes the page anew.
  public static let command = "PEFT_WRITE_DOCS=1 swift test --filter GridTests"

  public static func markdown(_ grid: Grid) -> String {
    var rules: [String] = []
    var page = """
      # What goes with what

      Found by the conformance suite, which trains every cell for three steps on a small model. **✓** trains; a number is the rule,
      below, that refuses it before training; **0** runs and says after its first step that every gradient is zero where it starts
      (one factor is zero and its partner is frozen). Made by `\(command)`; `peft methods --matrix` prints it.

      """
    for (title, cells) in [
      ("Projection × start", grid.starts), ("Projection × trained roles", grid.subsets), ("Method × optimizer", grid.optimizers),
    ] {
      page += "\n## \(title)\n\n" + counts(cells) + "\n\n" + table(cells, &rules)
    }
    page += "\n## Rules\n\n"
    for (index, rule) in rules.enumerated() { page += "\(index + 1). \(rule)\n" }
    return page
  }

  /// The rule as it reads for every start or optimizer it strikes.
  private static func rule(_ reason: String, of column: String) -> String {
    if reason.hasPrefix("start \(column) ") { return "start … " + reason.dropFirst("start \(column) ".count) }
    return reason.hasPrefix(column + " ") ? "… " + reason.dropFirst(column.count + 1) : reason
  }

  private static func counts(_ cells: [Grid.Cell]) -> String {
    let trains = cells.count { $0.outcome == .trains }
    let fails = cells.count { if case .fails = $0.outcome { true } else { false } }
    let idle = cells.count { $0.outcome == .idle }
    let parts = [
      (trains, "train"), (cells.count - trains - fails - idle, "are refused"), (idle, "start at a zero gradient"),
      (fails, "fail"),
    ]
    return "\(cells.count) cells: " + parts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: ", ") + "."
  }

  private static func table(_ cells: [Grid.Cell], _ rules: inout [String]) -> String {
    func ordered(_ names: [String]) -> [String] { names.reduce(into: []) { if !$0.contains($1) { $0.append($1) } } }
    let (rows, columns) = (ordered(cells.map(\.row)), ordered(cells.map(\.column)))
    var text = "| | " + columns.joined(separator: " | ") + " |\n|---|" + String(repeating: "---|", count: columns.count) + "\n"
    for row in rows {
      let marks = columns.map { column -> String in
        guard let cell = cells.first(where: { $0.row == row && $0.column == column }) else { return "" }
        switch cell.outcome {
        case .trains: return "✓"
        case .idle: return "0"
        case .fails(let reason): return "fails: \(reason)"
        case .refused(let reason):
          let rule = Self.rule(reason, of: column)
          if let index = rules.firstIndex(of: rule) { return "\(index + 1)" }
          rules.append(rule)
          return "\(rules.count)"
        }
      }
      text += "| **\(row)** | " + marks.joined(separator: " | ") + " |\n"
    }
    return text
  }
}
