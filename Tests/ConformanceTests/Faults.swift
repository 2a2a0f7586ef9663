import Blocks
import Engine
import PEFTKernel
import Registry
import Training

@testable import Conformance

/// What can be wrong with a method, one thing at a time.
enum Fault: String, CaseIterable {
  case none
  case scale
  case gradient
  case merge
  case start
  case frozen
  case count
  case seed
  case sharedState
  case denseUpdate
  case order
  case stateBetweenSteps
  case unsaved
  case deaf
  case hiddenCounter
}

/// ΔW = s·B·C·A with a frozen core C, in its own words, and with one fault.
struct FaultyPair: Projection {
  let rank: Int
  let fault: Fault
  /// What a faulty method remembers although nothing may.
  private let memory = Memory()

  final class Memory: @unchecked Sendable {
    var calls = 0
  }

  init(rank: Int, fault: Fault) {
    self.rank = rank
    self.fault = fault
  }

  private var scale: Double { fault == .scale ? 2.001 : fault == .deaf ? 1e-9 : 2 }

  func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    sites.enumerated().flatMap { index, site in
      let extra = fault == .count ? 1 : 0
      let ones = [Float](repeating: 1, count: rank * rank)
      let down = fault == .order ? 0.1 * Double(index + 1) : 0.3
      return [
        TensorSpec(TensorKey("a", site.id), [rank + extra, site.inputs], .down(nil), fill: .uniform(bound: down)),
        TensorSpec(TensorKey("b", site.id), [site.outputs, rank + extra], .up(nil)),
        TensorSpec(
          TensorKey("c", site.id), [rank + extra, rank + extra], .constant,
          fill: fault == .unsaved ? .computed(Computation("ones") { ones }) : .identity(noise: 0), keep: .seeded),
        TensorSpec(TensorKey("bias", site.id), [site.outputs], .bias),
      ]
    }
  }

  func prepare(_ stored: Tensors, _ now: Moment, _ bases: Bases) -> Tensors {
    if fault == .frozen, now.mode == .training {
      for (key, tensor) in stored.values where key.name == "c" {
        tensor.withUnsafeMutableBytes { $0.storeBytes(of: Float(1.5), as: Float.self) }
      }
    }
    return stored
  }

  func change(at site: Site, _ t: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    var bias: Tensor? = t["bias", site.id]
    if fault == .merge { bias = nil }
    return WeightChange(chains: [[factor(t["b", site.id], scale), factor(t["c", site.id]), factor(t["a", site.id])]], bias: bias)
  }

  func output(_ call: SiteCall, _ t: Tensors) -> Tensor {
    memory.calls += 1
    var a = t["a", call.site.id]
    // Not through `Moment.stop`, so nothing knows.
    if fault == .gradient { a = a.detached }
    var scale = scale
    if fault == .sharedState, memory.calls > 8 { scale *= 1 + 1e-6 * Double(memory.calls) }
    if fault == .stateBetweenSteps, call.pass.now.mode == .training { scale *= 1 + 1e-3 * Double(memory.calls) }
    let (b, c) = (t["b", call.site.id], t["c", call.site.id])
    let bias = t["bias", call.site.id] * (fault == .deaf ? 1e-9 : 1)
    if fault == .denseUpdate {
      let update = b.multiplied(by: c).multiplied(by: a) * scale
      return (call.baseOutput + call.input.multiplied(byTransposeOf: update)).addingRow(bias)
    }
    let reduced = call.input.multiplied(byTransposeOf: a).multiplied(byTransposeOf: c)
    return reduced.linear(b, scale: scale, addedTo: call.baseOutput).addingRow(bias)
  }

  private func factor(_ values: Tensor, _ scale: Double = 1) -> any LinearMap { Factor(values: values, scale: scale) }

  private struct Factor: LinearMap {
    let values: Tensor
    let scale: Double
    var outputs: Int { values.rows }
    var inputs: Int { values.columns }
    func apply(_ x: Tensor) -> Tensor { x.multiplied(byTransposeOf: values, scale: scale) }
    func dense() -> Tensor { values * scale }
  }
}

/// Every tensor as its layout says, with one fault.
struct FaultyStart: InitStrategy {
  let fault: Fault
  private let memory = FaultyPair.Memory()

  init(fault: Fault) { self.fault = fault }

  func start(
    _ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection, _ evidence: Evidence, _ now: Moment
  ) throws(Refusal) -> Start {
    var now = now
    if fault == .seed { now.seed = 1 }
    memory.calls += 1
    if fault == .hiddenCounter { now.microBatch = memory.calls }
    var start = Start(layout.filled(now))
    if fault == .unsaved {
      for spec in layout where spec.key.name == "c" { start.tensors[spec.key] = Tensor(repeating: 0.5, shape: spec.shape) }
    }
    if fault == .start {
      for spec in layout where spec.key.name == "b" { start.tensors[spec.key] = Tensor(repeating: 1e-3, shape: spec.shape) }
    }
    return start
  }
}

extension Fault {
  /// The method with this fault, registered and promised like any other.
  func conformance() throws -> MethodConformance {
    let fault = self
    let rank = OptionSpec("rank", .integer(1...64), default: .int(2), "rank", aliases: [.init("r")])
    let projection = AxisDefinition<any Projection>("faulty-pair", "for tests", options: [rank]) {
      (options) throws(Refusal) in FaultyPair(rank: options.int("rank"), fault: fault)
    }
    let start = AxisDefinition<any InitStrategy>("faulty-start", "for tests") { (_) throws(Refusal) in FaultyStart(fault: fault) }
    let reader = GoldenReader(reads: { $0.isOf("faulty") }) { (file) throws(Refusal) in
      let weight = try file.tensor("weight")
      let site = Site(id: SiteID("site"), outputs: weight.rows, inputs: weight.columns)
      let keys = ["a", "b", "c", "bias"].map { TensorKey($0, site.id) }
      var point = Tensors()
      for key in keys { point[key] = try file.tensor("trainable." + key.name) }
      return GoldenCase(
        entry: "faulty", options: ["r": .int(point["a", site.id].rows)], sites: [site], weights: [site.id: weight],
        point: point, gradients: Dictionary(uniqueKeysWithValues: keys.map { ($0.name, $0) }))
    }
    let text = """
      name: faulty
      projection: { use: faulty-pair, rank: 2 }
      init: { use: faulty-start }
      trainable: [factor-a, factor-b, bias]
      targets: [attention.query, mlp.down]
      optimizer: { name: adamw, lr: 1e-2 }
      """
    let registry = try MethodRegistry(
      plugins: [
        BuildingBlocks.plugin, Plugin("faulty", projections: [projection], inits: [start], goldens: [reader]),
      ], entries: [EntrySource(file: "faulty.yaml", text: text)])
    return MethodConformance(
      registry: registry, entry: "faulty",
      axes: .init(projection: "faulty-pair", initialization: "faulty-start", trainable: ["factor-a", "factor-b", "bias"]),
      cases: [["rank": .int(2)]]
    ) { sites, options in
      sites.reduce(0) { $0 + options.int("rank") * ($1.inputs + $1.outputs) + $1.outputs }
    }
  }
}
