import Blocks
import Engine
import PEFTKernel

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What GaLore remembers of every weight it projects, and AdamW's state of the rest.
final class GaLoreState: UpdateState {
  private let rule: GaLore
  private let places: [Int]
  private let others: [Int]
  private let names: [String]
  private(set) var memories: [WeightMemory]
  private let rest: any UpdateState

  init(_ rule: GaLore, _ parameters: [Parameter], _ rest: any UpdateState) {
    self.rule = rule
    self.rest = rest
    places = parameters.indices.filter { Self.isTarget(parameters[$0]) }
    others = parameters.indices.filter { !Self.isTarget(parameters[$0]) }
    names = places.map { parameters[$0].name }
    memories = places.map { _ in WeightMemory() }
  }

  /// Weights that a site multiplies by, but for the output head.
  static func isTarget(_ parameter: Parameter) -> Bool {
    guard let site = parameter.site else { return false }
    return site.use != "head" && parameter.value.rank == 2
  }

  func step(_ parameters: [Parameter], _ gradients: [Tensor], _ evidence: StepEvidence) {
    for (i, place) in places.enumerated() where gradients[place].isFinite {
      memories[i].step(rule, parameters[place], gradients[place], evidence.learningRate)
    }
    rest.step(others.map { parameters[$0] }, others.map { gradients[$0] }, evidence)
  }

  var tensors: [String: Tensor] {
    var all = rest.tensors
    for (name, memory) in zip(names, memories) {
      for (part, tensor) in memory.tensors { all["galore.\(part).\(name)"] = tensor }
    }
    return all
  }

  var bytes: [String: [UInt8]] {
    var all = rest.bytes
    for (name, memory) in zip(names, memories) {
      for (part, codes) in memory.bytes { all["galore.\(part).\(name)"] = codes }
    }
    return all
  }

  var counters: [String: Int] {
    var all = rest.counters
    for (name, memory) in zip(names, memories) { all["galore.steps.\(name)"] = memory.count }
    return all
  }

  func restore(_ tensors: [String: Tensor], _ bytes: [String: [UInt8]], _ counters: [String: Int]) throws(Refusal) {
    var restored: [WeightMemory] = []
    for name in names {
      guard let count = counters["galore.steps.\(name)"] else {
        throw Refusal("the optimizer's state has no count of steps of \(name)")
      }
      func part<Value>(_ values: [String: Value]) -> [String: Value] {
        var own: [String: Value] = [:]
        for word in WeightMemory.parts { own[word] = values["galore.\(word).\(name)"] }
        return own
      }
      restored.append(try WeightMemory(rule, count: count, part(tensors), part(bytes), name: name))
    }
    try rest.restore(tensors, bytes, counters)
    memories = restored
  }
}

/// The state of one weight.
struct WeightMemory {
  var count = 0
  private(set) var projector = Projector(left: nil, right: nil)
  /// N of the last step.
  private(set) var lowRank: Tensor?
  private var m: Tensor?
  private var v: Tensor?
  private var mBytes: ByteMoments?
  private var vBytes: ByteMoments?

  init() {}

  static let parts = ["left", "right", "m", "v", "m-peaks", "v-peaks", "rows", "columns"]
  private var rows: Tensor?
  private var columns: Tensor?

  mutating func step(_ rule: GaLore, _ parameter: Parameter, _ gradient: Tensor, _ rate: Double) {
    if count % rule.gap == 0 {
      // A gradient without singular vectors leaves the subspace as it is; without one there is no step.
      let fresh = try? Projector(gradient, rank: rule.rank, rule.side, isTransposed: parameter.isTransposed, seed: UInt64(count))
      guard let next = fresh ?? (count > 0 ? projector : nil) else { return }
      projector = next
    }
    count += 1
    let n = projector.down(gradient)
    lowRank = n
    let weight = parameter.value
    let decay = parameter.decays ? rule.rest.weightDecay : 0
    if let factored = rule.factored {
      if decay > 0 { weight.scaleInPlace(by: 1 - rate * decay) }
      projector.add(adafactor(n, factored, rate), times: -rule.scale, to: weight)
    } else {
      projector.add(adam(n, rule), times: -rate * rule.scale, to: weight)
      if decay > 0 { weight.scaleInPlace(by: 1 - rate * decay) }
    }
  }

  /// D = √(1−β₂ᵗ)/(1−β₁ᵗ)·m/(√v + ε): with 32 bits ε is added to the uncorrected root, as the released code does; with 8 to the
  /// corrected one, as the paper does.
  private mutating func adam(_ n: Tensor, _ rule: GaLore) -> Tensor {
    let layout = rule.bytes.flatMap { n.count >= $0.smallest ? $0 : nil }
    func moment(_ bytes: ByteMoments?, _ floats: Tensor?) -> Tensor {
      bytes.map { Tensor($0.values, shape: n.shape).converted(to: n.scalar) } ?? floats ?? .zeros(n.shape, n.scalar)
    }
    let (first, second) = (moment(mBytes, m), moment(vBytes, v))
    var correction = 1.0
    if rule.bytes == nil { correction = (1 - rule.rest.beta2.power(count)).squareRoot() }
    let direction = Tensor.zeros(n.shape, n.scalar)
    // 0 − (−1)·D.
    direction.adamW(
      gradient: n, m: first, v: second,
      AdamWStep(
        learningRate: -1, beta1: rule.rest.beta1, beta2: rule.rest.beta2, eps: rule.rest.eps / correction, weightDecay: 0,
        count: count))
    if let layout {
      mBytes = ByteMoments(first.floats, block: layout.block, isSigned: true)
      vBytes = ByteMoments(second.floats, block: layout.block, isSigned: false)
    } else {
      (m, v) = (first, second)
    }
    return direction
  }

  /// Adafactor on N: the second moment from its row and column means, the direction no longer than `clip` in the root mean square.
  private mutating func adafactor(_ n: Tensor, _ factored: GaLore.Factored, _ rate: Double) -> Tensor {
    let beta2 = 1 - pow(Double(count), -0.8)
    let values = n.values
    let (height, width) = (n.rows, n.columns)
    var (rowMeans, columnMeans) = ([Double](repeating: 0, count: height), [Double](repeating: 0, count: width))
    for i in 0..<height {
      for j in 0..<width {
        let square = values[i * width + j] * values[i * width + j] + 1e-30
        rowMeans[i] += square / Double(width)
        columnMeans[j] += square / Double(height)
      }
    }
    func mixed(_ old: Tensor?, _ new: [Double]) -> [Double] {
      zip(old?.values ?? [Double](repeating: 0, count: new.count), new).map { beta2 * $0 + (1 - beta2) * $1 }
    }
    let (row, column) = (mixed(rows, rowMeans), mixed(columns, columnMeans))
    (rows, columns) = (Tensor(row, n.scalar), Tensor(column, n.scalar))
    let mean = row.reduce(0, +) / Double(height)
    var direction = values.indices.map { values[$0] / (row[$0 / width] / mean * column[$0 % width]).squareRoot() }
    let rms = (direction.reduce(0) { $0 + $1 * $1 } / Double(max(1, direction.count))).squareRoot()
    let factor = rate / max(1, rms / factored.clip)
    direction = direction.map { $0 * factor }
    guard let beta1 = factored.beta1 else { return Tensor(direction, shape: n.shape, n.scalar) }
    let old = m?.values ?? [Double](repeating: 0, count: direction.count)
    let moment = Tensor(zip(old, direction).map { beta1 * $0 + (1 - beta1) * $1 }, shape: n.shape, n.scalar)
    m = moment
    return moment
  }
}

extension WeightMemory {
  /// The moments as the next step will read them.
  func moments(_ shape: [Int]) -> (m: Tensor?, v: Tensor?) {
    (mBytes.map { Tensor($0.values, shape: shape) } ?? m, vBytes.map { Tensor($0.values, shape: shape) } ?? v)
  }

  var tensors: [String: Tensor] {
    var all: [String: Tensor] = [:]
    (all["left"], all["right"], all["m"], all["v"]) = (projector.left, projector.right, m, v)
    (all["rows"], all["columns"]) = (rows, columns)
    all["m-peaks"] = mBytes.map { Tensor($0.peaks) }
    all["v-peaks"] = vBytes.map { Tensor($0.peaks) }
    return all
  }

  var bytes: [String: [UInt8]] {
    var all: [String: [UInt8]] = [:]
    (all["m"], all["v"]) = (mBytes?.codes, vBytes?.codes)
    return all
  }

  init(_ rule: GaLore, count: Int, _ tensors: [String: Tensor], _ bytes: [String: [UInt8]], name: String) throws(Refusal) {
    self.count = count
    projector = Projector(left: tensors["left"]?.copied(), right: tensors["right"]?.copied())
    (m, v) = (tensors["m"]?.copied(), tensors["v"]?.copied())
    (rows, columns) = (tensors["rows"]?.copied(), tensors["columns"]?.copied())
    guard count == 0 || projector.left != nil || projector.right != nil else {
      throw Refusal("the optimizer's state has no subspace of \(name)")
    }
    guard let layout = rule.bytes else { return }
    func restored(_ part: String, isSigned: Bool) throws(Refusal) -> ByteMoments? {
      guard let codes = bytes[part] else { return nil }
      var moments = ByteMoments(count: codes.count, block: layout.block, isSigned: isSigned)
      guard let peaks = tensors[part + "-peaks"], peaks.count == moments.peaks.count else {
        throw Refusal("the optimizer's state has no peaks of \(part) of \(name) in blocks of \(layout.block)")
      }
      (moments.codes, moments.peaks) = (codes, peaks.floats)
      return moments
    }
    mBytes = try restored("m", isSigned: true)
    vBytes = try restored("v", isSigned: false)
  }
}
