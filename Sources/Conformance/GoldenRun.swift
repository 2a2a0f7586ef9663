import Engine
import PEFTKernel
import Registry

/// One reference file being run.
struct GoldenRun {
  private let file: GoldenFile
  private let stated: GoldenCase
  private let working: GoldenCase
  private let scalar: ScalarType
  private let adapter: Adapter
  private let weights: [SiteID: Tensor]
  private let parameterization: any Parameterization
  /// Made when the first result that needs it is asked for.
  private var pass: Result<Outputs, Refusal>?
  private var start: Result<GoldenStart, Refusal>?

  private struct Outputs {
    var y: Tensor
    var dx: Tensor
    var gradients: [TensorKey: Tensor]
  }

  init(
    file: GoldenFile, stated: GoldenCase, working: GoldenCase, registry: MethodRegistry, scalar: ScalarType
  ) throws(Refusal) {
    self.file = file
    self.stated = stated
    self.working = working
    self.scalar = scalar
    let entry = try registry.entry(stated.entry, overriding: stated.options)
    parameterization = try registry.assemble(entry)
    var weights: [SiteID: Tensor] = [:]
    for site in stated.sites {
      guard let weight = working.weights[site.id], weight.shape == [site.outputs, site.inputs] else {
        throw Refusal("the weight of \(site.id) is not [\(site.outputs), \(site.inputs)]")
      }
      guard working.biases[site.id].map({ $0.count == site.outputs }) ?? true else {
        throw Refusal("the bias of \(site.id) does not have \(site.outputs) entries")
      }
      weights[site.id] = weight.converted(to: scalar)
    }
    self.weights = weights
    let layout = try Adapter.layout(parameterization, over: stated.sites)
    let biases = working.biases.mapValues { $0.converted(to: scalar) }
    let bases = Bases(weights: weights, biases: biases)
    func converted(_ tensors: Tensors) -> Tensors { Tensors(tensors.values.mapValues { $0.converted(to: scalar) }) }
    adapter = try Adapter(
      parameterization, sites: stated.sites, layout: layout, tensors: converted(working.point),
      offset: working.offset.map(converted), on: bases)
  }

  /// How the result `name` of the file compares with ours.
  mutating func outcome(of name: String) -> GoldenCheck.Outcome {
    if let reason = stated.unchecked[name] { return .unchecked(reason) }
    do throws(Refusal) { return compare(name, try ours(name)) } catch { return .failed(error.description) }
  }

  private mutating func ours(_ name: String) throws(Refusal) -> Tensor {
    if let compute = stated.expected[name] { return try compute(try started()) }
    switch name {
    case "y": return try passed().y
    case "dx": return try passed().dx
    case "merged": return try merged()
    default: break
    }
    if name.hasPrefix("grad.") {
      guard let key = stated.gradients[String(name.dropFirst("grad.".count))] else {
        throw Refusal("the reader of \(file.method) knows no tensor for it")
      }
      guard let gradient = try passed().gradients[key] else { throw Refusal("\(key) is no tensor of the adapter") }
      return gradient
    }
    if name.hasPrefix("initial."), let compute = stated.initial[String(name.dropFirst("initial.".count))] {
      return try compute(try started())
    }
    throw Refusal("the reader of \(file.method) does not say how to compute it")
  }

  /// W + ΔW of the only site.
  private func merged() throws(Refusal) -> Tensor {
    guard adapter.sites.count == 1, let site = adapter.sites.first, let weight = weights[site.id] else {
      throw Refusal("the file does not say which of its \(adapter.sites.count) weights is merged")
    }
    return weight + (try adapter.change(at: site).dense(on: weight))
  }

  /// How a computation's result `name` compares.
  static func outcome(of name: String, in file: GoldenFile, _ computation: GoldenComputation) -> GoldenCheck.Outcome {
    if let reason = computation.unchecked[name] { return .unchecked(reason) }
    guard let ours = computation.results[name] else {
      return .failed("the reader of \(file.method) does not say how to compute it")
    }
    return compare(name, ours, file)
  }

  private func compare(_ name: String, _ ours: Tensor) -> GoldenCheck.Outcome { Self.compare(name, ours, file) }

  private static func compare(_ name: String, _ ours: Tensor, _ file: GoldenFile) -> GoldenCheck.Outcome {
    if let expected = file.integers[name] {
      guard expected.count == ours.count else { return .failed("has \(expected.count) entries, ours \(ours.count)") }
      let unequal = zip(expected, ours.values).count { Double($0) != $1 }
      return unequal == 0 ? .error(0) : .failed("\(unequal) of \(expected.count) integers differ")
    }
    guard let expected = file.tensors[name] else { return .failed("is not in the file") }
    guard expected.shape.filter({ $0 != 1 }) == ours.shape.filter({ $0 != 1 }) else {
      return .failed("has shape \(expected.shape), ours \(ours.shape)")
    }
    let values = ours.values
    if let place = values.firstIndex(where: { !$0.isFinite }) {
      return .failed("ours is \(values[place]) at \(place) of \(values.count)")
    }
    return .error(relativeError(of: values, from: expected.values, floor: 1e-3))
  }

  private mutating func passed() throws(Refusal) -> Outputs {
    let result: Result<Outputs, Refusal>
    if let pass {
      result = pass
    } else {
      do throws(Refusal) { result = .success(try runPass()) } catch { result = .failure(error) }
      pass = result
    }
    return try result.get()
  }

  private func runPass() throws(Refusal) -> Outputs {
    let dy = try file.tensor("dy").converted(to: scalar)
    let x = try file.tensor("x").converted(to: scalar).tracked()
    guard x.rank == 2, x.rows > 0 else { throw Refusal("x has shape \(x.shape), but must be a matrix") }
    var stored = adapter.tensors
    let keys = Set(stated.gradients.values)
    for key in keys where stored.values[key] != nil { stored[key] = stored[key].tracked() }
    let now = Moment()
    let attachment = Attachment(adapter, stored: stored, now)
    let pass = Pass(now: now, rows: RowLayout(lengths: [x.rows]), sites: adapter.sites)
    working.arrange(pass)
    var fault: Refusal?
    let y = working.forward(x) { id, input in
      guard let site = attachment.sites[id], let weight = weights[id] else {
        fault = Refusal("the file's problem has no site \(id)")
        return input
      }
      guard input.rank == 2, input.columns == site.inputs else {
        fault = Refusal("\(id) has \(site.inputs) inputs, but meets a value of shape \(input.shape)")
        return .zeros([input.rows, site.outputs], scalar)
      }
      let base = FrozenMap(matrix: FrozenMatrix(weight), bias: working.biases[id]?.converted(to: scalar))
      return attachment.output(at: id, input, base, pass) ?? base(input)
    }
    if let fault { throw fault }
    guard y.shape == dy.shape else { throw Refusal("dy has shape \(dy.shape), but the output \(y.shape)") }
    Tensor.backward([(y, dy)])
    var gradients: [TensorKey: Tensor] = [:]
    for key in keys {
      guard let tensor = stored.values[key] else { continue }
      gradients[key] = tensor.gradient ?? .zeros(tensor.shape, scalar)
    }
    return Outputs(y: y.detached, dx: x.gradient ?? .zeros(x.shape, scalar), gradients: gradients)
  }

  private mutating func started() throws(Refusal) -> GoldenStart {
    let result: Result<GoldenStart, Refusal>
    if let start {
      result = start
    } else {
      do throws(Refusal) { result = .success(try runStart()) } catch { result = .failure(error) }
      start = result
    }
    return try result.get()
  }

  /// A start as training makes it: in float, from the evidence the file states.
  private func runStart() throws(Refusal) -> GoldenStart {
    let weights = (stated.startWeights ?? stated.weights).mapValues { $0.converted(to: .float32) }
    let biases = stated.biases.mapValues { $0.converted(to: .float32) }
    let bases = Bases(weights: weights, biases: biases)
    var evidence = Evidence { weights[$0] ?? .zeros([0, 0]) }
    evidence.gradients = stated.evidence.mapValues { $0.converted(to: .float32) }
    let originals = stated.originals.mapValues { $0.converted(to: .float32) }
    evidence.original = { originals[$0] }
    evidence.grams = stated.grams.mapValues { $0.converted(to: .float64) }
    evidence.firstRate = stated.firstRate
    for site in stated.sites {
      guard evidence.gradients[site.id].map({ $0.shape == [site.outputs, site.inputs] }) ?? true else {
        throw Refusal("the gradient of \(site.id) is not [\(site.outputs), \(site.inputs)]")
      }
    }
    let start = try parameterization.start(adapter.layout, adapter.sites, on: bases, &evidence, Moment(mode: .training))
    return GoldenStart(
      parameterization: parameterization, layout: adapter.layout, start: start, weights: weights, biases: biases,
      sites: adapter.sites)
  }
}
