import Training

/// A comparison as one HTML file that needs nothing but itself: no script, no font, no address.
struct ComparisonPage {
  let summary: ComparisonSummary
  let command: String

  init(_ summary: ComparisonSummary, command: String) {
    self.summary = summary
    self.command = command
  }

  var text: String {
    let title = "Comparison: " + summary.rows.map(\.label).joined(separator: ", ")
    let head =
      HTML.empty("meta", ["charset": "utf-8"])
      + HTML.empty("meta", ["name": "viewport", "content": "width=device-width, initial-scale=1"])
      + HTML.text("title", title) + HTML.element("style", Self.style)
    let body = [
      HTML.text("h1", title), results, curves, grid, trials, setting,
    ]
    return "<!DOCTYPE html>\n"
      + HTML.element(
        "html", ["lang": "en"],
        "\n" + HTML.element("head", head) + "\n" + HTML.element("body", "\n" + body.joined(separator: "\n") + "\n") + "\n")
      + "\n"
  }

  private var results: String {
    let table = ComparisonTable(summary)
    let meanings = table.columns.map { HTML.text("dt", $0.title) + HTML.text("dd", $0.meaning) }.joined(separator: "\n")
    return HTML.table(table.columns.map(\.title), table.rows)
      + HTML.element("ul", table.notes.map { HTML.text("li", $0) }.joined(separator: "\n"))
      + HTML.element("details", HTML.text("summary", "What the columns are") + HTML.element("dl", meanings))
  }

  private var curves: String {
    let chart = LineChart(
      title: "Validation loss over the steps", xLabel: "steps", yLabel: "validation loss",
      series: summary.rows.enumerated().map { index, row in
        .init(
          name: row.label, color: index,
          points: row.rate == nil ? [] : row.curve.map { .init(x: Double($0.step), y: $0.mean, low: $0.low, high: $0.high) })
      })
    return HTML.text("h2", "Learning curves")
      + figure(
        chart, "Each at its own rate; the line is the mean over the seeds, the band reaches from the lowest to the highest.")
  }

  private var grid: String {
    guard summary.rates.count > 1 else { return "" }
    let chart = LineChart(
      title: "Validation loss at the end for each learning rate", xLabel: "peak learning rate", yLabel: "validation loss",
      isLogarithmic: true,
      series: summary.rows.enumerated().map { index, row in
        .init(name: row.label, color: index, points: row.grid.map { .init(x: $0.rate, y: $0.loss, low: $0.loss, high: $0.loss) })
      })
    let rows = summary.rows.map { row in
      [row.label]
        + summary.rates.map { rate in
          guard let loss = row.grid.first(where: { $0.rate == rate })?.loss else { return "–" }
          return (loss.isFinite ? Format.fixed(loss, 4) : "diverged") + (rate == row.rate ? " ←" : "")
        }
    }
    return HTML.text("h2", "Learning rates")
      + figure(chart, "Validation loss after \(summary.steps) steps; what diverged has no point. Every method had the same grid.")
      + HTML.table(["method"] + summary.rates.map { "\($0)" }, rows)
  }

  private func figure(_ chart: LineChart, _ caption: String) -> String {
    let names = chart.series.map { line in
      let kind = "key c\(line.color % LineChart.colors)" + (line.color >= LineChart.colors ? " dashed" : "")
      return HTML.element("span", ["class": "entry"], HTML.element("span", ["class": kind], "") + HTML.escaped(line.name))
    }
    return HTML.element(
      "figure",
      chart.svg + HTML.element("div", ["class": "legend"], names.joined(separator: "\n")) + HTML.text("figcaption", caption))
  }

  private var trials: String {
    let rows = summary.trials.map { result in
      [
        result.trial.label, "\(result.trial.rate)", "\(result.trial.seed)",
        result.divergence.map { "diverged at step \($0.step): \($0.reason)" } ?? Format.fixed(result.validation, 4),
        result.heldOut.map { Format.fixed($0, 4) } ?? "–", result.ownText.map { Format.fixed($0, 4) } ?? "–",
        Format.significant(result.stepSeconds, 3), Format.duration(result.startSeconds), Format.duration(result.seconds),
      ]
    }
    let head = ["method", "rate", "seed", "validation", "held out", "own text", "s/step", "start", "whole trial"]
    return HTML.text("h2", "Trials")
      + HTML.element(
        "details", HTML.text("summary", "All \(rows.count) trials") + HTML.table(head, rows))
  }

  private var setting: String {
    let base = summary.base
    func loss(_ value: Double?) -> String { value.map { Format.fixed($0, 4) } ?? "–" }
    var facts = [
      ("run file", summary.runFile), ("base", summary.baseModel),
      (
        "the untouched base",
        "validation \(loss(base.validation)), held out \(loss(base.heldOut)), own text \(loss(base.ownText))"
      ),
    ]
    facts += summary.parts.map { part in
      (
        part.name,
        part.place.map { "\($0): \(part.examples) examples, \(Format.grouped(part.tokens)) tokens that count" } ?? "none"
      )
    }
    facts += [
      ("seeds", summary.seeds.map(String.init).joined(separator: ", ")),
      ("steps", "\(summary.steps), evaluated every \(summary.evalEvery)"), ("program", summary.program),
    ]
    facts += summary.machines.map { ("machine", $0) }
    let rows = facts.map { HTML.text("dt", $0.0) + HTML.text("dd", $0.1) }.joined(separator: "\n")
    return HTML.text("h2", "How it was made") + HTML.element("pre", HTML.text("code", command)) + HTML.element("dl", rows)
  }

  private static let style = """
    :root { color-scheme: light dark; --text: #1b1b1f; --dim: #63636e; --rule: #e2e2e8; --back: #fff;
      --c0: #1f5fbf; --c1: #c2410c; --c2: #15803d; --c3: #7e22ce; --c4: #b91c5c; --c5: #0e7490; --c6: #92700c; --c7: #57534e; }
    @media (prefers-color-scheme: dark) { :root { --text: #e8e8ee; --dim: #a0a0ad; --rule: #34343d; --back: #16161a;
      --c0: #7db1ff; --c1: #fb9a5c; --c2: #5fd38b; --c3: #c99bff; --c4: #ff8fb8; --c5: #5ccfe6; --c6: #e3c04f; --c7: #b8b2ac; } }
    body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
    h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
    .wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
    th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--rule); white-space: nowrap; }
    th { color: var(--dim); font-weight: 600; } .word { text-align: left; }
    ul, figcaption, dl, summary { color: var(--dim); } dt { font-weight: 600; color: var(--text); } dd { margin: 0 0 .5rem; overflow-wrap: anywhere; }
    figure { margin: 0; } svg { width: 100%; height: auto; } pre { overflow-x: auto; padding: .7rem; border: 1px solid var(--rule); }
    .grid { stroke: var(--rule); } .tick, .name { fill: var(--dim); font-size: 12px; } .end { text-anchor: end; } .middle { text-anchor: middle; }
    .line { fill: none; stroke-width: 2; stroke: currentColor; } .band { fill: currentColor; opacity: .14; } .dot { fill: currentColor; }
    .dashed { stroke-dasharray: 6 4; } .legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin: .3rem 0; }
    .key { display: inline-block; width: 1.4rem; border-top: 3px solid currentColor; vertical-align: middle; margin-right: .4rem; } .key.dashed { border-top-style: dashed; }
    .c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); } .c3 { color: var(--c3); }
    .c4 { color: var(--c4); } .c5 { color: var(--c5); } .c6 { color: var(--c6); } .c7 { color: var(--c7); }
    """
}
