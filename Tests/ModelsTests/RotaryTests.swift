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
    for (i, frequency) in settings.frequencies.enumerated() {
      let plain = exp(-log(theta) * Double(2 * i) / Double(width))
      let turns = original * plain / (2 * Double.pi)
      let weight = min(1, max(0, (turns - low) / (high - low)))
      kinds.insert(weight == 0 ? "slow" : weight == 1 ? "fast" : "between")
      #expect(abs(frequency - plain * (weight + (1 - weight) / factor)) < 1e-15)
    }
    #expect(kinds == ["slow", "between", "fast"])
  }

  @Test func linearDividesAll() {
    let plain = RotarySettings(theta: 10_000, width: 8, scaling: .none).frequencies
    for (a, b) in zip(plain, [1, 0.1, 0.01, 0.001]) { #expect(abs(a - b) < 1e-15) }
    #expect(RotarySettings(theta: 10_000, width: 8, scaling: .linear(factor: 4)).frequencies == plain.map { $0 / 4 })
  }

  @Test func settingsAreReadInBothSpellings() throws {
    let scratch = try Scratch()
    func settings(_ text: String) throws -> RotarySettings {
      try scratch.put("config.json", "{\(text)}")
      return try RotarySettings(ConfigReader(ModelDirectory(configurationOf: scratch.path)), width: 64, maximumPositions: 4096)
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

  @Test func tablesGrowWithThePositions() {
    let table = RotaryTable(RotarySettings(theta: 10_000, width: 4, scaling: .none))
    #expect(table.angles(10, .float32).cosine.shape == [256, 2])
    let angles = table.angles(300, .float64)
    #expect(angles.sine.shape == [512, 2])
    #expect(abs(angles.sine.values[2 * 299] - sin(299)) < 1e-12)
    #expect(abs(angles.cosine.values[2 * 299 + 1] - cos(2.99)) < 1e-12)
  }
}
