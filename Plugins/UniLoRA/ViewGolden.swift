import Blocks
import Engine
import PEFTKernel

/// Reads reference files `projections`: for one site, methods of the LoRA family in the unified view. Each is a structured map here; P,
/// c and everything else that the file states is computed from it and never read, but for the dense map, which is its matrix.
enum ViewGolden {
  static let reader = GoldenReader(reads: { $0.isOf("projections") }, compute: compute)

  /// A map, and the trained tensors that θ_d strings together.
  private struct View {
    var map: any FactorMap
    var trained: [(name: String, value: Tensor)]

    init(_ map: any FactorMap, _ names: [String], _ file: GoldenFile) throws(Refusal) {
      self.map = map
      trained = []
      for name in names { trained.append((name, try file.tensor("trainable." + name))) }
    }

    var theta: Tensor { .joinedRows(trained.map { $0.value.reshaped([$0.value.count]) }) }
  }

  @Sendable private static func compute(_ file: GoldenFile) throws(Refusal) -> GoldenComputation {
    let (weight, x, dy) = (try file.tensor("weight"), try file.tensor("x"), try file.tensor("dy"))
    let site = Site(id: SiteID("site"), outputs: weight.rows, inputs: weight.columns)
    guard let rank = file.int("r"), rank > 0, x.rank == 2, x.columns == site.inputs, dy.shape == [x.rows, site.outputs] else {
      throw Refusal("the file's rank, x and dy do not fit a weight \(weight.shape)")
    }
    let positions = rank * (site.inputs + site.outputs)
    let view = try view(file, rank, positions)
    let map = view.map
    try map.check()
    guard map.positions == positions, map.length == view.theta.count else {
      throw Refusal(
        "the map makes \(map.positions) numbers of \(map.length), but the file has \(positions) and \(view.theta.count)")
    }

    let (matrix, constant) = (map.matrix, map.constant)
    let gradient = Tensor((0..<positions).map { Double($0 + 1) / Double(positions) }, .float64)
    let (theta, input) = (view.theta.tracked(), x.tracked())
    let entries = map.project(theta)
    let a = entries.slice(rows: 0..<rank * site.inputs).reshaped([rank, site.inputs])
    let b = entries.slice(rows: rank * site.inputs..<positions).reshaped([site.outputs, rank])
    let change = WeightChange(chains: [[Matrix(b), Matrix(a)]])
    let pass = Pass(now: Moment(), rows: RowLayout(lengths: [x.rows]), sites: [site])
    let y = change.output(SiteCall(site: site, input: input, base: FrozenMap(matrix: FrozenMatrix(weight)), pass: pass))
    let merged = weight + change.dense(on: weight)
    Tensor.backward([(y, dy)])

    var results = [
      "initial.theta_D": entries, "initial.ptp": matrix.t ⋅ matrix, "initial.pt_g": map.adjoint(gradient),
      "y": y.detached, "dx": input.gradient ?? .zeros(x.shape, .float64), "merged": merged,
      "given.theta_d": view.theta,
    ]
    for place in ["frozen", "given"] {
      results[place + ".P"] = matrix
      results[place + ".c"] = constant
    }
    if let gather = map as? ScaledGather { results["frozen.norms"] = gather.norms }
    var start = 0
    for (name, value) in view.trained {
      let all = theta.gradient ?? .zeros([map.length], .float64)
      results["grad." + name] = all.slice(rows: start..<start + value.count).reshaped(value.shape)
      start += value.count
    }
    return GoldenComputation(entry: "uni-lora", results: results)
  }

  private static func view(_ file: GoldenFile, _ rank: Int, _ positions: Int) throws(Refusal) -> View {
    switch file.config["kind"] {
    case .string("lora"): return try View(LoRAView(positions: positions), ["lora_A", "lora_B"], file)
    case .string("vera"):
      let map = VeRAView(down: try file.tensor("frozen.vera_A"), up: try file.tensor("frozen.vera_B"))
      return try View(map, ["vera_lambda_d", "vera_lambda_b"], file)
    case .string("lora_xs"):
      let map = LoRAXSView(left: try file.tensor("frozen.left"), right: try file.tensor("frozen.right"))
      return try View(map, ["R"], file)
    case .string("vb_lora"):
      // How many vectors of the bank are mixed shows in the mixtures.
      guard let width = file.int("b") else { throw Refusal("the file's config has no b") }
      let map = VBLoRAView(
        mixDown: try file.tensor("frozen.mix_A"), mixUp: try file.tensor("frozen.mix_B"), width: width, rank: rank)
      return try View(map, ["bank"], file)
    case .string("unilora"):
      let (index, length) = (try integers(file, "frozen.idx"), try file.tensor("trainable.theta_d").count)
      guard index.allSatisfy({ $0 < length }) else { throw Refusal("frozen.idx leaves 0..<\(length)") }
      return try View(ScaledGather(index: index, norms: Assignment.norms(index, length: length)), ["theta_d"], file)
    case .string("fastfood"):
      let (signs, gaussian) = (try file.tensor("frozen.sign"), try file.tensor("frozen.gauss"))
      let permutation = try integers(file, "frozen.perm")
      func block(_ tensor: Tensor) -> Tensor { tensor.reshaped([1, tensor.count]) }
      let map = Fastfood(
        length: try file.tensor("trainable.theta_d").count, positions: positions, signs: block(signs),
        permutation: block(Tensor(permutation.map(Double.init), .float64)), gaussian: block(gaussian))
      return try View(map, ["theta_d"], file)
    case .string("gaussian"): return try View(DenseMap(values: try file.tensor("frozen.P")), ["theta_d"], file)
    case let kind:
      throw Refusal(
        "kind is \(kind?.text ?? "not given")", remedy: "known: lora, vera, lora_xs, vb_lora, unilora, fastfood, gaussian")
    }
  }

  private static func integers(_ file: GoldenFile, _ name: String) throws(Refusal) -> [Int32] {
    guard let list = file.integers[name] else { throw Refusal("the file has no tensor \(name)") }
    guard list.allSatisfy({ (0..<Int(Int32.max)).contains($0) }) else { throw Refusal("\(name) holds what is no index") }
    return list.map { Int32($0) }
  }
}
