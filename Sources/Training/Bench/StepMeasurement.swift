import Engine
import Models
import PEFTKernel

/// What a training step was found to cost.
public struct StepMeasurement: Sendable {
  public struct Step: Sendable {
    public var tokens: Int
    public var seconds: Double
    public var phases: [Phase: Double]
  }

  /// What it took to begin.
  public struct Start: Sendable {
    public var seconds: Double
    /// What the pool held for it at most.
    public var bytes: Int
    /// What of that the start looks at: gradients of the adapted weights, or products of their inputs.
    public var evidence: Int
  }

  /// What was measured.
  public var run: [BenchRecord.Fact]
  /// The timed steps in order.
  public var steps: [Step]
  /// Floating-point operations per token, see ``linearWork(_:trainsBase:)``.
  public var linearWork: Double
  /// Floating-point operations a second that a large matrix product reached on all threads before the steps or behind them, the
  /// better of the two.
  public var machineRate: Double
  /// Of the adapter.
  public var start: Start
  /// What was held at the peak, class by class.
  public var memory: MemoryPlan
  /// The most that was resident, as the system counts it.
  public var processPeak: Int?
  /// Blocks that the tensors' pool asked of the system during the timed steps.
  public var blocks: Int

  /// Floating-point operations per token of a step's linear maps, by formula: 4·Σ out·in over every linear map of the model, its
  /// head among them, for y = x·Wᵀ (2·out·in) and dx = dy·W (as many); 6·Σ out·in where the maps' own weights are trained, for
  /// dW = dyᵀ·x.
  ///
  /// What adapters compute beside the maps, attention's products, and what is computed twice do not count: a step that does less
  /// of these comes nearer to the machine's rate.
  public static func linearWork(_ model: any Model, trainsBase: Bool) -> Double {
    let weights = model.sites.reduce(0.0) { $0 + Double($1.outputs) * Double($1.inputs) }
    return (trainsBase ? 6 : 4) * weights
  }
}

extension StepMeasurement {
  public var seconds: [Double] { steps.map(\.seconds) }

  public var medianSeconds: Double { Statistics.median(seconds) ?? 0 }

  /// The median over the steps: these may differ in size.
  public var tokensPerSecond: Double { Statistics.median(steps.map { Double($0.tokens) / $0.seconds }) ?? 0 }

  /// The mean over the steps.
  public var tokensPerStep: Double { Double(steps.reduce(0) { $0 + $1.tokens }) / Double(max(1, steps.count)) }

  /// Operations of the linear maps in a step.
  public var linearWorkPerStep: Double { linearWork * tokensPerStep }

  /// The same a second.
  public var linearRate: Double { linearWork * tokensPerSecond }

  /// What the linear maps make of the machine.
  public var shareOfPeak: Double { linearRate / machineRate }

  /// Seconds of a step, the median, by phase.
  public var phases: [(phase: Phase, seconds: Double)] {
    Phase.allCases.map { phase in (phase, Statistics.median(steps.map { $0.phases[phase] ?? 0 }) ?? 0) }
  }

  /// As it is kept; the caller knows the machine.
  public func record(program: String, machine: [BenchRecord.Fact]) -> BenchRecord {
    BenchRecord(
      kind: .step, program: program, machine: machine, run: run,
      speed: [
        .init("tokens_per_second", tokensPerSecond), .init("seconds_per_step", medianSeconds),
        .init("seconds_least", seconds.min() ?? 0), .init("seconds_most", seconds.max() ?? 0),
        .init("steps", Double(steps.count)), .init("tokens_per_step", tokensPerStep),
        .init("gflop_per_step", linearWorkPerStep / 1e9), .init("gflops", linearRate / 1e9),
        .init("machine_gflops", machineRate / 1e9), .init("share_of_peak", shareOfPeak),
        .init("start_seconds", start.seconds), .init("blocks", Double(blocks)),
      ],
      phases: phases.map { .init($0.phase.rawValue, $0.seconds) },
      memory: memory.classes.filter { $0.bytes > 0 }.map { .init($0.name, Double($0.bytes)) } + [
        .init("together", Double(memory.peak)), .init("start", Double(start.bytes)), .init("evidence", Double(start.evidence)),
      ] + (processPeak.map { [.init("process", Double($0))] } ?? []))
  }
}
