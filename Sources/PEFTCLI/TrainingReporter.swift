import Engine
import JSON
import Synchronization
import Training

/// Says how a run goes, while it goes: as a bar on a terminal, as a line now and then elsewhere, or as JSON lines.
final class TrainingReporter: Sendable {
  enum Style: Sendable {
    case bar
    case lines
    case json
    case silent
  }

  private struct State {
    var steps = 0
    var first = 0
    var trainable = 0
    var firstLoss: Double?
    var lastLoss: Double?
    var tokens = 0
    var busySeconds = 0.0
    var lastShown: ContinuousClock.Instant?
    var bar: ProgressBar?
  }
  private let console: Console
  private let style: Style
  private let clock = ContinuousClock()
  private let state = Mutex(State())

  init(_ console: Console, _ style: Style) {
    self.console = console
    self.style = style
  }

  /// Losses of the first and last step seen, tokens and seconds of all of them.
  var totals: (firstLoss: Double?, lastLoss: Double?, tokens: Int, seconds: Double) {
    state.withLock { ($0.firstLoss, $0.lastLoss, $0.tokens, $0.busySeconds) }
  }

  func take(_ event: TrainingEvent) {
    if style == .json { console.print(Self.json(event).text()) }
    state.withLock { state in
      switch event {
      case .gradients(let batch, let batches): looked(batch, batches, &state)
      case .started(let sites, let trainable, let total, let steps, let resumedAt):
        (state.steps, state.first, state.trainable) = (steps, resumedAt, trainable)
        let share = Format.percent(trainable, of: total)
        let place = resumedAt > 0 ? ", from step \(resumedAt)" : ""
        let what = sites > 0 ? " at \(sites) sites" : ""
        say(
          "training \(Format.grouped(trainable)) of \(Format.grouped(total)) parameters (\(share))\(what), \(steps) steps\(place)"
        )
      case .note(let note): say("note: \(note)")
      case .step(let report, let seconds): step(report, seconds, &state)
      case .evaluated(let step, let evaluation):
        say("step \(step): evaluation loss \(evaluation.summary)")
      case .tested(let evaluation):
        say("test loss \(evaluation.summary)")
      case .saved(let step, _):
        if step < state.steps { say("step \(step): saved") }
      }
    }
  }

  /// Takes the bar away.
  func end() {
    if style == .bar { console.draw("") }
  }

  private func say(_ text: String) {
    if style == .bar || style == .lines { console.note(text) }
  }

  private func looked(_ batch: Int, _ batches: Int, _ state: inout State) {
    let label = "looking at gradients"
    switch style {
    case .bar:
      let bar = ProgressBar(label: label, step: batch, steps: batches)
      console.draw(batch < batches ? bar.text(width: console.width, isUnicode: ProgressBar.isUnicode) : "")
    case .lines:
      guard batch == 1 || batch == batches || secondsSinceShown(state) >= 30 else { return }
      state.lastShown = clock.now
      console.note("\(label) \(batch)/\(batches)")
    case .json, .silent: break
    }
  }

  private func secondsSinceShown(_ state: State) -> Double { state.lastShown.map { (clock.now - $0) / .seconds(1) } ?? 0 }

  private func step(_ report: StepReport, _ seconds: Double, _ state: inout State) {
    state.tokens += report.tokens
    state.busySeconds += seconds
    state.firstLoss = state.firstLoss ?? report.loss
    state.lastLoss = report.loss
    let now = clock.now
    let done = report.step - state.first
    let left = state.busySeconds / Double(max(1, done)) * Double(state.steps - report.step)
    let isEdge = report.step == state.first + 1 || report.step == state.steps
    switch style {
    case .bar:
      guard isEdge || secondsSinceShown(state) >= 0.1 else { return }
      state.lastShown = now
      let bar = ProgressBar(
        step: report.step, steps: state.steps, loss: report.loss, tokensPerSecond: Double(state.tokens) / state.busySeconds,
        secondsLeft: left)
      console.draw(bar.text(width: console.width, isUnicode: ProgressBar.isUnicode))
    case .lines:
      let every = max(1, state.steps / 20)
      guard isEdge || report.step % every == 0 || secondsSinceShown(state) >= 30 else { return }
      state.lastShown = now
      let rate = Format.grouped(Int(min(1e12, Double(state.tokens) / state.busySeconds)))
      console.note(
        "step \(report.step)/\(state.steps)  loss \(Format.fixed(report.loss, 4))  lr \(Format.significant(report.learningRate, 3))"
          + "  \(rate) tok/s  \(Format.duration(left)) left")
    case .json, .silent: break
    }
  }

  private static func json(_ event: TrainingEvent) -> JSON {
    switch event {
    case .gradients(let batch, let batches): ["event": "gradients", "batch": .int(batch), "batches": .int(batches)]
    case .note(let note): ["event": "note", "note": .string(note)]
    case .started(let sites, let trainable, let total, let steps, let resumedAt):
      [
        "event": "started", "sites": .int(sites), "trainable": .int(trainable), "total": .int(total), "steps": .int(steps),
        "resumed_at": .int(resumedAt),
      ]
    case .step(let report, let seconds):
      [
        "event": "step", "step": .int(report.step), "loss": .double(report.loss), "lr": .double(report.learningRate),
        "grad_norm": .double(report.gradientNorm), "tokens": .int(report.tokens), "seconds": .double(seconds),
      ]
    case .evaluated(let step, let evaluation):
      .object([.init("event", "evaluated"), .init("step", .int(step))] + evaluation.members)
    case .tested(let evaluation): .object([.init("event", "tested")] + evaluation.members)
    case .saved(let step, let path): ["event": "saved", "step": .int(step), "path": .string(path)]
    }
  }
}

extension Evaluation {
  /// The loss, and what else is told of it.
  var summary: String {
    ([Format.fixed(loss, 4)] + figures.map { "\($0.name) \(Format.significant($0.value))" }).joined(separator: ", ")
  }

  /// As members of a JSON object.
  var members: [JSON.Member] {
    [.init("loss", .double(loss))] + figures.map { .init($0.key, .double($0.value)) } + [.init(unit, .int(tokens))]
  }
}
