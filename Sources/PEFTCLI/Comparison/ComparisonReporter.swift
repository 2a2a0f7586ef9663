import JSON
import Synchronization
import Training

/// Says how a comparison goes, while it goes: as a table on a terminal, as a line a trial elsewhere, or as JSON lines.
final class ComparisonReporter: Sendable {
  enum Style: Sendable {
    case table
    case lines
    case json
    case silent
  }

  private struct State {
    var trials = 0
    var done = 0
    /// Trials found done; the clock knows nothing of them.
    var found = 0
    var results: [String: [TrialResult]] = [:]
    var chosen: [String: Double?] = [:]
    var current: (trial: Trial, step: Int, loss: Double?, validation: Double?)?
    var lastShown: ContinuousClock.Instant?
  }
  private let comparison: Comparison
  private let console: Console
  private let style: Style
  private let clock = ContinuousClock()
  private let began: ContinuousClock.Instant
  private let state = Mutex(State())

  init(_ comparison: Comparison, _ console: Console, _ style: Style) {
    self.comparison = comparison
    self.console = console
    self.style = style
    began = clock.now
  }

  func take(_ event: ComparisonEvent) {
    state.withLock { state in
      var isDue = true
      switch event {
      case .prepared(let trials, let found):
        state.trials = trials
        for result in found { add(result, &state) }
        state.found = found.count
        let done = found.count
        let rates = comparison.settings.rates.sorted().map { Format.plain($0) }.joined(separator: ", ")
        say("\(trials) trials of \(comparison.steps) steps\(done > 0 ? ", \(done) of them done before" : ""); rates \(rates)")
      case .begun(let trial, let step, _): state.current = (trial, step, nil, nil)
      case .step(_, let report, _):
        state.current?.step = report.step
        state.current?.loss = report.loss
        isDue = state.lastShown.map { clock.now - $0 >= .milliseconds(100) } ?? true
      case .evaluated(_, _, let loss): state.current?.validation = loss
      case .ended(let result): ended(result, &state)
      case .found(let result):
        add(result, &state)
        state.found += 1
      case .chosen(let label, let rate):
        state.chosen[label] = .some(rate)
        say("\(label): \(rate.map { "learning rate \($0)" } ?? "diverged at every rate")")
      }
      if style == .table, isDue {
        state.lastShown = clock.now
        console.draw(lines(state).map { String($0.prefix(max(0, console.width - 1))) }.joined(separator: "\n"))
      }
    }
  }

  /// Takes the table away.
  func end() {
    if style == .table { console.draw("") }
  }

  private func say(_ text: String) {
    if style == .lines { console.note(text) }
  }

  private func add(_ result: TrialResult, _ state: inout State) {
    state.done += 1
    state.results[result.trial.label, default: []].append(result)
  }

  private func ended(_ result: TrialResult, _ state: inout State) {
    let trial = result.trial
    add(result, &state)
    state.current = nil
    if style == .json { console.print((["event": "trial", "trial": result.json] as JSON).text()) }
    let outcome =
      result.divergence.map { "diverged at step \($0.step): \($0.reason)" }
      ?? "validation \(Format.fixed(result.validation, 4)), \(Format.duration(result.seconds))"
    say("trial \(state.done)/\(state.trials)  \(trial.label)  lr \(trial.rate)  seed \(trial.seed): \(outcome)")
  }

  // MARK: The live table

  private func lines(_ state: State) -> [String] {
    var rows = [["method", "trials", "rate", "validation", ""]]
    for contestant in comparison.contestants {
      let label = contestant.label
      let results = state.results[label] ?? []
      let best = results.min { $0.validation < $1.validation }.flatMap { $0.divergence == nil ? $0 : nil }
      let rate = state.chosen[label].map { $0.map { "\($0)" } ?? "none" } ?? best.map { "\($0.trial.rate)?" } ?? ""
      var now = ""
      if let current = state.current, current.trial.label == label {
        now = "lr \(current.trial.rate) seed \(current.trial.seed)  \(current.step)/\(comparison.steps)"
        if let loss = current.loss { now += "  loss \(Format.fixed(loss, 4))" }
        if let loss = current.validation { now += "  validation \(Format.fixed(loss, 4))" }
      }
      let count = results.count
      let isBad = best == nil && count > 0
      rows.append([label, "\(count)", rate, isBad ? "diverged" : best.map { Format.fixed($0.validation, 4) } ?? "", now])
    }
    let steps = state.trials * comparison.steps
    let taken = state.done * comparison.steps + (state.current?.step ?? 0)
    let fresh = taken - state.found * comparison.steps
    let elapsed = (clock.now - began) / .seconds(1)
    let left = fresh > 0 ? elapsed / Double(fresh) * Double(max(0, steps - taken)) : nil
    let bar = ProgressBar(
      label: "trial \(min(state.trials, state.done + 1))/\(state.trials), step", step: taken, steps: steps, secondsLeft: left)
    return Format.table(rows, right: [1, 2, 3]) + [bar.text(width: console.width, isUnicode: ProgressBar.isUnicode)]
  }
}
