import Engine
import Files
import JSON
import Models
import Training

/// A measurement as people and programs read it.
struct BenchReport {
  let record: BenchRecord
  let lines: [String]

  private static let program = "peft \(Version.text)"

  init(_ measured: StepMeasurement, of session: RunSession, warmUp: Int) {
    record = measured.record(program: Self.program, machine: Machine.facts)
    let seconds = measured.seconds
    let tokens = Format.grouped(Int(measured.tokensPerStep.rounded()))
    var lines = [
      "\(session.entry.name) on \(Format.path(session.file.baseModel)): \(seconds.count) steps of \(tokens) tokens, behind \(warmUp)",
      Machine.text, "",
    ]
    lines += Format.table([
      ["tokens/s", Format.grouped(Int(measured.tokensPerSecond.rounded()))],
      [
        "seconds a step",
        "\(Format.significant(measured.medianSeconds, 4)) (\(Format.significant(seconds.min() ?? 0, 4)) to "
          + "\(Format.significant(seconds.max() ?? 0, 4)))",
      ],
      [
        "linear products",
        "\(Format.significant(measured.linearWorkPerStep / 1e9, 4)) GFLOP a step, "
          + "\(Format.significant(measured.linearRate / 1e9, 4)) GFLOP/s: \(Format.fixed(100 * measured.shareOfPeak, 1)) % of the "
          + "\(Format.significant(measured.machineRate / 1e9, 4)) that this machine does",
      ],
      [
        "start",
        "\(Format.duration(measured.start.seconds)), \(Format.bytes(measured.start.bytes)) at most"
          + (measured.start.evidence > 0 ? ", \(Format.bytes(measured.start.evidence)) of them for what it looks at" : ""),
      ],
      ["blocks asked of the system", "\(measured.blocks) in these steps"],
    ])
    let phases = measured.phases.filter { $0.seconds > 0 }
    let whole = phases.reduce(0) { $0 + $1.seconds }
    let rows = phases.map { phase, seconds in
      ["  \(phase.rawValue)", Format.fixed(1000 * seconds, 1), Format.fixed(100 * seconds / whole, 1)]
    }
    lines += [""] + Format.table([["time by phase", "ms a step", "%"]] + rows, right: [1, 2])
    var memory = measured.memory.classes.filter { $0.bytes > 0 }.map { ["  \($0.name)", Format.bytes($0.bytes)] }
    memory.append(["  together", Format.bytes(measured.memory.peak)])
    if let peak = measured.processPeak { memory.append(["  resident at most, as the system counts", Format.bytes(peak)]) }
    lines += ["", "memory at the peak"] + Format.table(memory, right: [1])
    self.lines = lines
  }

  init(_ measured: GenerationMeasurement, of model: any LanguageModel, _ session: RunSession?, promptTokens: Int) {
    record = measured.record(program: Self.program, machine: Machine.facts)
    let adapted = session.map { "\($0.entry.name) on " } ?? ""
    let times = measured.generations.count
    var rows = [
      ["tokens/s", "\(Format.significant(measured.tokensPerSecond, 4)) with the prompt"],
      ["prompt", "\(Format.significant(measured.promptSeconds, 3)) s"],
      [
        "a token behind it",
        "\(Format.significant(1000 * measured.secondsPerToken, 3)) ms: \(Format.significant(measured.weightRate / 1e9, 3)) GB/s of "
          + "weights, \(Format.fixed(100 * measured.weightRate / measured.readRate, 1)) % of the "
          + "\(Format.significant(measured.readRate / 1e9, 3)) that this machine reads",
      ],
      ["weights", Format.bytes(measured.weightBytes)],
      ["blocks asked of the system", "\(measured.blocks) in these generations"],
    ]
    if let seconds = measured.loadSeconds { rows.append(["opening the model", "\(Format.significant(1000 * seconds, 3)) ms"]) }
    if let peak = measured.processPeak { rows.append(["resident at most", Format.bytes(peak)]) }
    lines =
      [
        "\(adapted)\(Format.path(model.directory.path)): \(measured.newTokens) tokens behind \(promptTokens), \(times) times",
        Machine.text, "",
      ] + Format.table(rows)
  }
}

/// A measurement beside one that was kept.
struct BenchComparison {
  let now: BenchRecord
  let was: BenchRecord
  let path: String

  init(_ now: BenchRecord, with was: BenchRecord, of path: String) {
    (self.now, self.was, self.path) = (now, was, path)
  }

  private struct Row {
    var section: String
    var name: String
    var now: Double
    var was: Double
  }

  /// What both have, part by part.
  private var rows: [Row] {
    func rows(_ section: String, _ part: KeyPath<BenchRecord, [BenchRecord.Figure]>) -> [Row] {
      // How often something was timed is no result.
      now[keyPath: part].filter { !["steps", "generations"].contains($0.name) }.compactMap { figure in
        was[keyPath: part].first { $0.name == figure.name }.map {
          Row(section: section, name: figure.name, now: figure.value, was: $0.value)
        }
      }
    }
    return rows("speed", \.speed) + rows("phases", \.phases) + rows("memory", \.memory)
  }

  var lines: [String] {
    var lines = ["", "compared with \(Format.path(path))"]
    for difference in now.differences(from: was) {
      lines.append(
        "  differs: \(difference.name) \(printable(difference.now ?? "not given")), was \(printable(difference.was ?? "not given"))"
      )
    }
    func text(_ value: Double, _ section: String) -> String {
      switch section {
      case "phases": "\(Format.fixed(1000 * value, 1)) ms"
      // Of a file that somebody else may have written.
      case "memory": Format.bytes(Int(exactly: value.rounded()) ?? 0)
      default: Format.significant(value, 4)
      }
    }
    let table = rows.map { row in
      [
        "  \(printable(row.name).replacing("_", with: " "))", text(row.now, row.section), text(row.was, row.section),
        row.was == 0 ? "–" : Format.fixed(row.now / row.was, 2),
      ]
    }
    return lines + Format.table([["", "now", "was", "now/was"]] + table, right: [1, 2, 3])
  }

  var json: JSON {
    func member(_ row: Row) -> JSON.Member { .init(row.name, row.was == 0 ? .null : .double(row.now / row.was)) }
    let rows = rows
    func part(_ section: String) -> JSON { .object(rows.filter { $0.section == section }.map(member)) }
    return [
      "with": .string(path),
      "differs": .object(
        now.differences(from: was).map { difference in
          let (now, was) = (difference.now.map { JSON.string($0) }, difference.was.map { JSON.string($0) })
          return .init(difference.name, ["now": now ?? .null, "was": was ?? .null])
        }),
      "speed": part("speed"), "phases": part("phases"), "memory": part("memory"),
    ]
  }
}
