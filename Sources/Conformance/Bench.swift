import Engine
import PEFTKernel

/// A method over bare linear maps with random weights, in double: where laws that need no model are checked.
struct Bench {
  let assembly: Assembly
  let sites: [Site]
  let layout: [TensorSpec]
  let weights: [SiteID: Tensor]
  let bases: [SiteID: FrozenMap]
  private static let rows = 4

  init(_ assembly: Assembly, _ sites: [Site]) throws(Refusal) {
    self.assembly = assembly
    self.sites = sites
    layout = try Adapter.layout(assembly, over: sites)
    var weights: [SiteID: Tensor] = [:]
    var bases: [SiteID: FrozenMap] = [:]
    for site in sites {
      var random = Philox(key: 11).stream(site.id.path)
      // Rounded to float, so that a start made in float sees the very weight.
      let weight = random.normal([site.outputs, site.inputs], deviation: 0.2).converted(to: .float64)
      weights[site.id] = weight
      bases[site.id] = FrozenMap(
        matrix: FrozenMatrix(weight), bias: site.hasBias ? random.normal([site.outputs], deviation: 0.5, .float64) : nil)
    }
    self.weights = weights
    self.bases = bases
  }

  var maps: Bases { Bases { [bases] in bases[$0] ?? FrozenMap(matrix: FrozenMatrix(.zeros([0, 0]))) } }

  var trainable: [TensorSpec] { layout.filter { assembly.trainable.contains($0.role) } }

  /// The start, in float, from evidence that does not depend on `seed`.
  func start(seed: UInt64 = 1) throws(Refusal) -> Start {
    let wants = assembly.initialization.wants
    var evidence = Evidence { [bases] in bases[$0]?.weight(as: .float32) ?? .zeros([0, 0]) }
    evidence.firstRate = 0.01
    if wants.original {
      // As a coarse quantizer would have left it.
      evidence.original = { [weights] id in
        guard let weight = weights[id] else { return nil }
        var random = Philox(key: 18).stream(id.path)
        return weight.converted(to: .float32) + random.normal(weight.shape, deviation: 0.02)
      }
    }
    for site in sites {
      var random = Philox(key: 12).stream(site.id.path)
      if wants.gradients != nil { evidence.gradients[site.id] = random.normal([site.outputs, site.inputs], deviation: 0.1) }
      if wants.inputs != nil {
        let x = random.normal([2 * site.inputs, site.inputs], deviation: 1, .float64)
        evidence.grams[site.id] = x.transposed.multiplied(by: x)
      }
    }
    return try assembly.start(layout, sites, on: maps, &evidence, Moment(mode: .training, seed: seed))
  }

  /// The start in double.
  func adapter(seed: UInt64 = 1) throws(Refusal) -> Adapter {
    let start = try start(seed: seed)
    return try Adapter(
      assembly, sites: sites, layout: layout, tensors: start.tensors.converted(to: .float64),
      offset: start.offset?.converted(to: .float64), on: maps)
  }

  /// An adapter off its start: every trained tensor moved by noise, so that no gradient vanishes by accident.
  func movedAdapter() throws(Refusal) -> Adapter {
    var adapter = try adapter()
    for spec in trainable {
      var random = Philox(key: 13).stream(spec.key.description)
      let noise = random.normal(spec.shape, deviation: 0.3, .float64)
      adapter.tensors[spec.key] = adapter.tensors[spec.key] + noise
    }
    return adapter
  }

  /// x [rows, inputs] of every site.
  func inputs() -> [SiteID: Tensor] { values(14) { $0.inputs } }

  /// ∂/∂y [rows, outputs] of every site, for the objective Σ ⟨y, dy⟩.
  func outputGradients() -> [SiteID: Tensor] { values(15) { $0.outputs } }

  private func values(_ key: UInt64, _ width: (Site) -> Int) -> [SiteID: Tensor] {
    var values: [SiteID: Tensor] = [:]
    for site in sites {
      var random = Philox(key: key).stream(site.id.path)
      values[site.id] = random.normal([Bench.rows, width(site)], deviation: 1, .float64)
    }
    return values
  }

  /// One pass over all sites in forward order: outputs by site, and what the method adds to the loss.
  func outputs(
    _ adapter: Adapter, stored: Tensors? = nil, _ inputs: [SiteID: Tensor], _ now: Moment = Moment(),
    observer: (any PairObserver)? = nil
  ) -> (outputs: [SiteID: Tensor], penalties: [Tensor]) {
    let attachment = Attachment(adapter, stored: stored ?? adapter.tensors, now)
    let pass = Pass(now: now, rows: RowLayout(lengths: [Bench.rows]), sites: sites, observer: observer)
    var outputs: [SiteID: Tensor] = [:]
    for site in sites {
      guard let base = bases[site.id], let x = inputs[site.id] else { continue }
      outputs[site.id] = attachment.output(at: site.id, x, base, pass) ?? base(x)
    }
    let once = adapter.parameterization.projection.penalty(attachment.prepared, now)
    return (outputs, pass.penalties + [once].compactMap { $0 })
  }
}

extension Tensors {
  func converted(to scalar: ScalarType) -> Tensors { Tensors(values.mapValues { $0.converted(to: scalar) }) }

  /// Keys whose tensors are not equal to the bit.
  func differences(from other: Tensors) -> [TensorKey] {
    Set(values.keys).union(other.values.keys).filter { key in
      guard let a = values[key], let b = other.values[key] else { return true }
      return !a.isIdentical(to: b)
    }.sorted { $0.description < $1.description }
  }
}

extension Tensor {
  /// Whether shape, scalar and every bit agree.
  func isIdentical(to other: Tensor) -> Bool {
    guard shape == other.shape, scalar == other.scalar else { return false }
    return withUnsafeBytes { a in other.withUnsafeBytes { b in a.elementsEqual(b) } }
  }
}
