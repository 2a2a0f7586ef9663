import Engine
import Files
import Models
import PEFTKernel

/// Measures greedy generation, one text at a time. Writes nothing.
public struct GenerationBench: Sendable {
  public var promptTokens: Int
  public var newTokens: Int
  /// Generations that are timed, behind one that is not.
  public var times: Int

  public init(promptTokens: Int = 64, newTokens: Int = 128, times: Int = 3) {
    self.promptTokens = promptTokens
    self.newTokens = newTokens
    self.times = times
  }

  /// Continues a prompt of random ids; `seen` is told how many generations are done. Refuses texts longer than the model has
  /// positions.
  public func measure(
    _ model: any LanguageModel, adapter: Adapter? = nil, seen: (_ generations: Int) -> Void = { _ in }
  ) throws(FileError) -> GenerationMeasurement {
    let (length, isTooMany) = promptTokens.addingReportingOverflow(newTokens - 1)
    try model.check(length: isTooMany ? .max : length)
    var random = Philox(key: 1)
    let prompt = (0..<promptTokens).map { _ in Int32.random(in: 0..<Int32(model.vocabularySize), using: &random) }
    let generator = try TokenGenerator(model, prompt: prompt, maximumTokens: newTokens, attachment: adapter?.attached())
    var results: [GenerationMeasurement.Generation] = []
    var blocks = 0
    for time in 0...times {
      if time == 1 { blocks = MemoryUsage.current.allocations }
      let result = Self.generate(generator)
      if time > 0 { results.append(result) }
      seen(time + 1)
    }
    blocks = MemoryUsage.current.allocations - blocks
    let processPeak = ProcessMemory.current?.peak
    let weights = model.sites.reduce(0) { $0 + ((model.base($1.id) as? FrozenMap)?.matrix.byteCount ?? 0) }
    let facts: [BenchRecord.Fact] = [
      .init("prompt tokens", "\(promptTokens)"), .init("new tokens", "\(newTokens)"),
      .init("adapted sites", "\(adapter?.sites.count ?? 0)"),
    ]
    return GenerationMeasurement(
      run: BenchRecord.facts(of: model) + facts, newTokens: newTokens, generations: results,
      weightBytes: weights,
      readRate: Measurement.readBandwidth(), processPeak: processPeak, blocks: blocks)
  }

  private static func generate(_ generator: TokenGenerator) -> GenerationMeasurement.Generation {
    let clock = ContinuousClock()
    let start = clock.now
    var tokens = generator.makeIterator()
    _ = tokens.next()
    let first = clock.now
    while tokens.next() != nil {}
    return .init(prompt: (first - start) / .seconds(1), rest: (clock.now - first) / .seconds(1))
  }
}

/// What generating was found to cost.
public struct GenerationMeasurement: Sendable {
  public struct Generation: Sendable {
    /// Seconds to the first token.
    public var prompt: Double
    /// Seconds from the first token to the last.
    public var rest: Double
  }

  /// What was measured.
  public var run: [BenchRecord.Fact]
  /// Opening the model's files, where that was timed.
  public var loadSeconds: Double?
  public var newTokens: Int
  public var generations: [Generation]
  /// What every token reads at least: the weights of all linear maps, the head's among them.
  public var weightBytes: Int
  /// Bytes a second that this machine reads at best.
  public var readRate: Double
  /// The most that was resident, as the system counts it.
  public var processPeak: Int?
  /// Blocks that the tensors' pool asked of the system during the timed generations.
  public var blocks: Int

  /// Of the whole, the prompt's time included; the median.
  public var tokensPerSecond: Double {
    Statistics.median(generations.map { Double(newTokens) / ($0.prompt + $0.rest) }) ?? 0
  }

  public var promptSeconds: Double { Statistics.median(generations.map(\.prompt)) ?? 0 }

  /// Behind the first.
  public var secondsPerToken: Double {
    (Statistics.median(generations.map(\.rest)) ?? 0) / Double(max(1, newTokens - 1))
  }

  /// Bytes of weights a second, behind the first token.
  public var weightRate: Double { Double(weightBytes) / secondsPerToken }

  /// As it is kept; the caller knows the machine.
  public func record(program: String, machine: [BenchRecord.Fact]) -> BenchRecord {
    BenchRecord(
      kind: .generation, program: program, machine: machine, run: run,
      speed: [
        .init("tokens_per_second", tokensPerSecond), .init("prompt_seconds", promptSeconds),
        .init("seconds_per_token", secondsPerToken), .init("generations", Double(generations.count)),
        .init("weight_gb_per_second", weightRate / 1e9), .init("machine_read_gb_per_second", readRate / 1e9),
        .init("share_of_read_bandwidth", weightRate / readRate), .init("blocks", Double(blocks)),
      ] + (loadSeconds.map { [.init("load_seconds", $0)] } ?? []),
      phases: [],
      memory: [.init("weights", Double(weightBytes))] + (processPeak.map { [.init("process", Double($0))] } ?? []))
  }
}
