import Engine
import Files
import Testing

@testable import Models

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

@Suite struct RotaryTests {
  /// The interpolation written the other way round: as a weight that is 1 for pairs turning `high` times and more
  /// within the original context and 0 for those turning `low` times and less.
  @Test func llama3KeepsFastPairsAndSlowsSlowOnes() {
    let (theta, width, factor, low, high, original) = (500_000.0, 128, 8.0, 1.0, 4.0, 8192.0)
    let settings = RotarySettings(
      theta: theta, width: width, scaling: .llama3(factor: factor, low: low, high: high, original: original))
    var kinds: Set<String> = []
    for (i, frequency) in settings.frequencies(extent: 0).enumerated() {
      let plain = exp(-log(theta) * Double(2 * i) / Double(width))
      let turns = original * plain / (2 * Double.pi)
      let weight = min(1, max(0, (turns - low) / (high - low)))
      kinds.insert(weight == 0 ? "slow" : weight == 1 ? "fast" : "between")
      #expect(abs(frequency - plain * (weight + (1 - weight) / factor)) < 1e-15)
    }
    #expect(kinds == ["slow", "between", "fast"])
  }

  @Test func linearDividesAll() {
    let plain = RotarySettings(theta: 10_000, width: 8, scaling: .none).frequencies(extent: 0)
    for (a, b) in zip(plain, [1, 0.1, 0.01, 0.001]) { #expect(abs(a - b) < 1e-15) }
    #expect(RotarySettings(theta: 10_000, width: 8, scaling: .linear(factor: 4)).frequencies(extent: 0) == plain.map { $0 / 4 })
  }

  @Test func settingsAreReadInBothSpellings() throws {
    let scratch = try Scratch()
    func settings(_ text: String) throws -> RotarySettings {
      try scratch.put("config.json", "{\(text)}")
      let reader = try ConfigReader(ModelDirectory(configurationOf: scratch.path))
      return try #require(RotarySettings.all(reader, kinds: [.full], width: 64, maximumPositions: 4096)[.full])
    }
    let llama3 = RotarySettings(theta: 500_000, width: 64, scaling: .llama3(factor: 32, low: 1, high: 4, original: 8192))
    let fields = "\"factor\": 32, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 8192"
    #expect(try settings("\"rope_parameters\": {\"rope_type\": \"llama3\", \"rope_theta\": 5e5, \(fields)}") == llama3)
    #expect(try settings("\"rope_theta\": 500000, \"rope_scaling\": {\"rope_type\": \"llama3\", \(fields)}") == llama3)
    for type in ["\"type\": \"linear\"", "\"rope_type\": null, \"type\": \"linear\""] {
      #expect(
        try settings("\"rope_scaling\": {\(type), \"factor\": 2}")
          == RotarySettings(theta: 10_000, width: 64, scaling: .linear(factor: 2)))
    }
    #expect(try settings("") == RotarySettings(theta: 10_000, width: 64, scaling: .none))
  }

  /// What a sequence of a pass is like does not depend on the others.
  @Test func everySequenceTurnsByItsOwnLength() {
    for scaling in [
      RotarySettings.Scaling.dynamic(factor: 3, original: 6), .longrope(short: [1, 1], long: [2, 5], original: 6),
    ] {
      let settings = RotarySettings(theta: 10_000, width: 4, scaling: scaling, amplitude: 1.5)
      let rows = RowLayout(lengths: [4, 9, 6, 12, 7])
      let angles = RotaryTable(settings).angles(rows, .float64)
      for sequence in rows.sequences {
        let frequencies = settings.frequencies(extent: settings.extent(of: sequence.count))
        for row in sequence {
          let place = Int(angles.places[row])
          for (i, frequency) in frequencies.enumerated() {
            let angle = Double(row - sequence.lowerBound) * frequency
            #expect(abs(angles.cosine.values[2 * place + i] - 1.5 * cos(angle)) < 1e-12)
            #expect(abs(angles.sine.values[2 * place + i] - 1.5 * sin(angle)) < 1e-12)
          }
        }
      }
    }
  }

  /// Layers of either kind have settings of their own where the config gives them.
  @Test func settingsByKindOfLayer() throws {
    let scratch = try Scratch()
    func settings(_ text: String) throws -> [DecoderConfig.LayerKind: RotarySettings] {
      try scratch.put("config.json", "{\"rope_parameters\": {\(text)}}")
      let reader = try ConfigReader(ModelDirectory(configurationOf: scratch.path))
      return try RotarySettings.all(reader, kinds: [.full, .sliding], width: 8, maximumPositions: 64)
    }
    let full = "\"full_attention\": {\"rope_type\": \"linear\", \"factor\": 8, \"rope_theta\": 1e6}"
    #expect(
      try settings("\(full), \"sliding_attention\": {\"rope_theta\": 100}") == [
        .full: RotarySettings(theta: 1e6, width: 8, scaling: .linear(factor: 8)),
        .sliding: RotarySettings(theta: 100, width: 8, scaling: .none),
      ])
    for wrong in [full, "\(full), \"sliding_attention\": null", "\(full), \"sliding_attention\": {}, \"rope_theta\": 5"] {
      #expect(throws: FileError.self) { try settings(wrong) }
    }
  }

  @Test func tablesGrowWithThePositions() {
    let table = RotaryTable(RotarySettings(theta: 10_000, width: 4, scaling: .none))
    #expect(table.angles(RowLayout(lengths: [10]), .float32).cosine.shape == [256, 2])
    let angles = table.angles(RowLayout(lengths: [10]), after: 290, .float64)
    #expect(angles.places == (290..<300).map { Int32($0) })
    #expect(angles.sine.shape == [512, 2])
    #expect(abs(angles.sine.values[2 * 299] - sin(299)) < 1e-12)
    #expect(abs(angles.cosine.values[2 * 299 + 1] - cos(2.99)) < 1e-12)
  }
}
