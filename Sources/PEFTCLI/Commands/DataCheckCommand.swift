import ArgumentParser
import Files
import JSON
import Models
import Registry
import Training

struct DataCheckCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Read data to the end and report every bad row, with its line and what is wrong.",
    discussion: """
      For a run file, its data as the run would read it. For data files, their rows; with --model their tokens, too. Ends with \
      65 where a row is bad, or nothing is left to learn.
      """)

  @Argument(help: ArgumentHelp("A run file (.yaml), or data files (.jsonl, .json, .txt).", valueName: "file"))
  var files: [String]

  @Option(name: .shortAndLong, help: ArgumentHelp("The model whose tokens data files become.", valueName: "folder"))
  var model: String?

  @Option(help: "What the rows of data files are; auto goes by the keys of each.")
  var format = RunFile.DataSettings.Format.auto

  @Option(help: "What is learned of data files.")
  var lossOn = RunFile.DataSettings.LossOn.completion

  @Option(help: "Tokens a row of a data file may have; default: the model's limit.")
  var maxLength: Int?

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup var common: CommonOptions

  private var isRun: Bool { files.first.map(Self.isRunFile) ?? false }

  private static func isRunFile(_ path: String) -> Bool { path.hasSuffix(".yaml") || path.hasSuffix(".yml") }

  func validate() throws {
    if files.contains(where: Self.isRunFile), files.count > 1 || model != nil || maxLength != nil {
      throw ValidationError("a run file is checked by itself: it names model, format and length")
    }
    if let maxLength, maxLength < 2 { throw ValidationError("--max-length must be at least 2") }
  }

  func run(_ call: Invocation) async throws -> ExitStatus {
    let parts: [DataPart]
    if isRun {
      let file = try RunFile.load(files[0], registry: call.registry())
      parts = try DataPart.parts(of: file).parts
    } else {
      let model = try model.map { try ModelLoader.load($0) }
      parts = try files.map {
        try DataPart.file($0, format: format, model: model, lossOn: lossOn, maximumLength: maxLength)
      }
    }
    if json {
      call.console.print(JSON.object([.init("parts", .array(parts.map(\.report)))]).text())
    } else {
      for (index, part) in parts.enumerated() {
        if index > 0 { call.console.print() }
        for line in part.lines { call.console.print(line) }
      }
    }
    return parts.allSatisfy(\.isSound) ? .ok : .badData
  }
}

extension DataPart {
  /// Whether a run could learn from it.
  fileprivate var isSound: Bool { bad.isEmpty && encoded?.examples.isEmpty != true }

  /// How many rows there are of each format.
  private var formats: [(name: String, count: Int)] {
    RunFile.DataSettings.Format.allCases.compactMap { format in
      let count = rows.count { $0.format == format }
      return count == 0 ? nil : (format.rawValue, count)
    }
  }

  /// All rows of the file, and token counts of what a run learns from.
  private var rowCount: Int { rows.isEmpty ? bad.count + (encoded?.examples.count ?? 0) : rows.count + unread }
  private var unread: Int { bad.count - (encoded?.bad.count ?? 0) }
  private var tokens: Int { encoded?.examples.reduce(0) { $0 + $1.size } ?? 0 }
  private var hasClasses: Bool { encoded?.examples.contains { $0.learned.isEmpty } ?? false }
  private var learned: Int { encoded?.examples.reduce(0) { $0 + $1.labelCount } ?? 0 }
  private var lengths: LengthStatistics? { encoded.flatMap { LengthStatistics($0.lengths.filter { $0 > 0 }) } }
  private func linesOf(_ places: [Int]) -> [Int] { places.map { rows.indices.contains($0) ? rows[$0].line : $0 + 1 } }

  fileprivate var lines: [String] {
    var lines = bad.map(\.description)
    let kinds = formats.map { "\($0.name) \(Format.grouped($0.count))" }.joined(separator: ", ")
    lines.append((name.map { $0 + "  " } ?? "") + path)
    var table = [["  rows", Format.grouped(rowCount) + (kinds.isEmpty ? "" : " (\(kinds))")]]
    if let lengths {
      table.append(
        [
          "  tokens",
          "\(Format.grouped(tokens))"
            + (hasClasses ? "" : ", of which \(Format.grouped(learned)) are learned (\(Format.percent(learned, of: tokens)))"),
        ])
      table.append([
        "  tokens of a row",
        "min \(lengths.minimum), median \(lengths.median), mean \(Format.fixed(lengths.mean, 1)), p95 \(lengths.percentile95), "
          + "max \(lengths.maximum)",
      ])
    }
    if let encoded {
      for (word, places) in [("  cut", encoded.cut), ("  left out, nothing to learn", encoded.dropped)] where !places.isEmpty {
        let shown = linesOf(places).prefix(10).map(String.init).joined(separator: ", ")
        table.append([word, "\(Format.grouped(places.count)): line \(shown)\(places.count > 10 ? ", …" : "")"])
      }
    }
    if !bad.isEmpty { table.append(["  bad rows", Format.grouped(bad.count)]) }
    return lines + Format.table(table)
  }

  fileprivate var report: JSON {
    var members: [JSON.Member] = [
      .init("part", name.map { .string($0) } ?? .null), .init("path", .string(path)), .init("rows", .int(rowCount)),
      .init("formats", .object(formats.map { .init($0.name, .int($0.count)) })),
      .init("bad", .array(bad.map(\.report))),
    ]
    if let encoded {
      members += [
        .init("tokens", .int(tokens)), .init("learned", .int(learned)),
        .init("cut", .array(linesOf(encoded.cut).map { .int($0) })),
        .init("dropped", .array(linesOf(encoded.dropped).map { .int($0) })),
      ]
    }
    if let lengths {
      members.append(
        .init(
          "lengths",
          [
            "min": .int(lengths.minimum), "median": .int(lengths.median), "mean": .double(lengths.mean),
            "p95": .int(lengths.percentile95), "max": .int(lengths.maximum),
          ]))
    }
    return .object(members)
  }
}

extension BadRow {
  /// `line` is null where a row is a file of its own.
  fileprivate var report: JSON {
    ["path": .string(path), "line": line.map { JSON.int($0) } ?? .null, "reason": .string(reason)]
  }
}
