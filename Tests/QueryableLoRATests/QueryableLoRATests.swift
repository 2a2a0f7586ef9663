import Engine
import PEFTKernel
import Testing

@testable import QueryableLoRA

/// Three sites in two blocks.
private let threeSites = (0..<3).map { (i: Int) in
  Site(id: SiteID("layers.\(i).query"), outputs: i == 2 ? 17 : 20, inputs: 20, layer: i)
}

private struct Problem {
  var method: RoutedAtoms
  var sites = threeSites
  var tensors: Tensors
  var weights: [Tensor]
  var x: Tensor
  var dy: Tensor
  var rows = RowLayout(lengths: [2, 3])
  var flags: [Bool]?

  /// Every tensor away from its start, so that every gradient counts.
  init(_ method: RoutedAtoms, sites: [Site] = threeSites) throws {
    self.method = method
    self.sites = sites
    var random = Philox(key: 11)
    tensors = try method.layout(of: sites).filled(Moment(seed: 2), .float64)
    for (key, tensor) in tensors.values.sorted(by: { $0.key.description < $1.key.description })
    where key.name != "instruction" {
      tensors[key] = tensor + random.normal(tensor.shape, deviation: 0.3, .float64)
    }
    weights = sites.map { random.normal([$0.outputs, $0.inputs], deviation: 0.2, .float64) }
    x = random.normal([5, 20], deviation: 1, .float64)
    dy = random.normal([5, sites[sites.count - 1].outputs], deviation: 1, .float64)
  }

  /// The sites in a chain with tanh between them, each run twice where that is asked for; the routings on the way go to `seen`.
  func output(
    _ now: Moment = Moment(), with changed: Tensors? = nil, twice: Bool = false, _ seen: (Routing) -> Void = { _ in }
  ) -> (Tensor, Pass) {
    let pass = Pass(now: now, rows: rows, sites: sites, flags: flags)
    let prepared = method.prepare(changed ?? tensors, now, Bases(weights: [:]))
    var value = x
    for (i, site) in sites.enumerated() {
      if i > 0 { value = value.tanh }
      func adapted(_ x: Tensor, _ pass: Pass) -> Tensor {
        method.output(SiteCall(site: site, input: x, base: TensorMap(matrix: weights[i]), pass: pass), prepared)
      }
      value = twice ? pass.recomputing(value, adapted) : adapted(value, pass)
      seen(pass[note: Routing.self])
    }
    return (value, pass)
  }

  var base: Tensor {
    zip(weights, sites.indices).reduce(x) { ($1.1 > 0 ? $0.tanh : $0).linear($1.0) }
  }
}

private func method(_ change: (inout RoutedAtoms) -> Void = { _ in }) -> RoutedAtoms {
  var method = RoutedAtoms(
    rank: 3, alpha: 6, atoms: 4, keyWidth: 5, choices: 3, layersPerBlock: 2, instruction: [0.5, -1, 0.25, 2])
  change(&method)
  return method
}

private func distance(_ a: Tensor, _ b: Tensor) -> Double { (a.detached - b.detached).largestMagnitude }

@Suite struct QueryableLoRATests {
  private let sites = threeSites

  /// The counts of the method's two worked examples.
  @Test func counts() throws {
    func count(_ method: RoutedAtoms, _ sites: [Site]) throws -> Int {
      try method.layout(of: sites).filter { $0.role != .constant }.reduce(0) { $0 + $1.count }
    }
    #expect(try count(method(), sites) == 460)
    let one = RoutedAtoms(rank: 4, atoms: 5, keyWidth: 6, choices: 5)
    #expect(try count(one, [Site(id: SiteID("only"), outputs: 24, inputs: 20)]) == 334)
    let keeps = try method().layout(of: sites).allSatisfy { $0.keep == .stored }
    #expect(keeps)
  }

  @Test func blocksFollowLayers() {
    let blocks = RoutingBlocks(sites, layersPerBlock: 2)
    #expect(sites.map { blocks.index[$0.id] } == [0, 0, 1] && blocks.count == 2)
    let loose = (0..<3).map { (i: Int) in Site(id: SiteID("\(i)"), outputs: 2, inputs: 2) }
    #expect(RoutingBlocks(loose, layersPerBlock: 4).count == 3)
  }

  @Test func startsAtTheBase() throws {
    var problem = try Problem(method())
    problem.tensors = try problem.method.layout(of: sites).filled(Moment(), .float64)
    #expect(distance(problem.output().0, problem.base) == 0)
  }

  @Test func mixesConvexlyFewAtoms() throws {
    let problem = try Problem(method())
    _ = problem.output { routing in
      let rows = routing.weights.values
      for start in stride(from: 0, to: rows.count, by: 4) {
        let row = rows[start..<start + 4]
        #expect(abs(row.reduce(0, +) - 1) < 1e-12)
        #expect(row.allSatisfy { $0 >= 0 } && row.filter { $0 > 0 }.count <= 3)
      }
    }
  }

  @Test func equalAtomsMakeOneCore() throws {
    var problem = try Problem(method())
    let core = problem.tensors["atoms"].slice(rows: 0..<1)
    problem.tensors["atoms"] = .joinedRows([core, core, core, core])
    var single = try Problem(method { ($0.atoms, $0.choices) = (1, 1) })
    (single.x, single.weights) = (problem.x, problem.weights)
    for key in single.tensors.values.keys where key.scope != .model { single.tensors[key] = problem.tensors[key] }
    single.tensors["atoms"] = core
    #expect(distance(problem.output().0, single.output().0) < 1e-13)

    // That one core merges.
    var merged = single.x
    for (i, site) in sites.enumerated() {
      let change = try single.method.change(at: site, single.tensors, on: TensorMap(matrix: single.weights[i])).dense(
        on: single.weights[i])
      merged = (i > 0 ? merged.tanh : merged).linear(single.weights[i] + change)
    }
    #expect(distance(merged, single.output().0) < 1e-13)
    #expect(throws: Refusal.self) {
      try problem.method.change(at: sites[0], problem.tensors, on: TensorMap(matrix: problem.weights[0]))
    }
  }

  @Test func orderOfAtomsIsImmaterial() throws {
    let problem = try Problem(method())
    var turned = problem.tensors
    for name in ["atoms", "atom_keys"] {
      turned[name] = .joinedRows([problem.tensors[name].slice(rows: 2..<4), problem.tensors[name].slice(rows: 0..<2)])
    }
    #expect(distance(problem.output().0, problem.output(with: turned).0) < 1e-13)
  }

  @Test func rowsRouteForThemselves() throws {
    var problem = try Problem(method())
    let whole = problem.output().0
    problem.x = .joinedRows([problem.x.slice(rows: 0..<3), problem.x.slice(rows: 0..<2)])
    #expect(distance(whole.slice(rows: 0..<3), problem.output().0.slice(rows: 0..<3)) < 1e-13)
  }

  @Test func priorDecidesWhereItWeighs() throws {
    var problem = try Problem(method { $0.priorWeight = 0 })
    let silent = problem.output().0
    problem.tensors["instruction"] = problem.tensors["instruction"] * 3
    #expect(distance(silent, problem.output().0) == 0)
    problem.method.priorWeight = 1e7
    var masks: [[Bool]] = []
    problem.method.temperature = 1e7
    _ = problem.output { routing in
      let rows = routing.weights.values
      for start in stride(from: 0, to: rows.count, by: 4) { masks.append(rows[start..<start + 4].map { $0 > 0 }) }
    }
    #expect(Set(masks).count == 1)
  }

  @Test func firstBlockHasNoHistory() throws {
    let problem = try Problem(method())
    var changed = problem.tensors
    changed["depth_query"] = changed["depth_query"] * -2
    func first(_ tensors: Tensors) -> [Double] {
      var seen: [[Double]] = []
      _ = problem.output(with: tensors) { seen.append($0.weights.values) }
      return seen[0]
    }
    #expect(first(problem.tensors) == first(changed))
  }

  @Test(arguments: [RoutedAtoms.Granularity.token, .sequence], [false, true])
  func gradientsMatchDifferences(_ granularity: RoutedAtoms.Granularity, detached: Bool) throws {
    // Four single sites, so that a summary attends to several states.
    let loose = (0..<4).map { (i: Int) in Site(id: SiteID("\(i)"), outputs: 20, inputs: 20) }
    var problem = try Problem(
      method {
        $0.granularity = granularity
        $0.detachesSummary = detached
        $0.divergenceWeight = 0.7
        $0.priorWeight = 0.5
        $0.temperature = 0.6
      }, sites: loose)
    if granularity == .sequence { problem.flags = [true, false, true, true, false] }
    let pins = Pins()
    let now = Moment(pins: pins)
    func loss(_ tensors: Tensors, _ x: Tensor) -> Tensor {
      var moved = problem
      moved.x = x
      let (y, pass) = moved.output(now, with: tensors)
      #expect(pass.penalties.count == 4)
      return pass.penalties.reduce((y * problem.dy).sum) { $0 + $1 }
    }
    let leaves = Tensors(problem.tensors.values.mapValues { $0.tracked() })
    let x = problem.x.tracked()
    loss(leaves, x).backward()
    func agrees(_ name: String, _ leaf: Tensor, _ at: (Tensor) -> Tensor) throws {
      let gradient = try #require(leaf.gradient, "\(name)").values
      for i in stride(from: 0, to: leaf.count, by: max(1, leaf.count / 12)) {
        let slope = [1.0, -1].map { sign in
          var values = leaf.values
          values[i] += sign * 1e-5
          pins.replay()
          return at(Tensor(values, shape: leaf.shape, .float64)).item
        }
        let expected = (slope[0] - slope[1]) / 2e-5
        #expect(abs(expected - gradient[i]) < 1e-6 * max(1, abs(expected)), "\(name)[\(i)]")
      }
    }
    try agrees("x", x) { loss(problem.tensors, $0) }
    for (key, leaf) in leaves.values {
      try agrees("\(key)", leaf) {
        var tensors = problem.tensors
        tensors[key] = $0
        return loss(tensors, problem.x)
      }
    }
  }

  /// Routings and summaries are results of one part and inputs of others.
  @Test(arguments: [1, 2]) func sitesMayRunTwice(layersPerBlock: Int) throws {
    let sites = (0..<6).map { (i: Int) in Site(id: SiteID("\(i)"), outputs: 20, inputs: 20, layer: i) }
    let problem = try Problem(
      method {
        $0.layersPerBlock = layersPerBlock
        $0.divergenceWeight = 0.7
      }, sites: sites)
    func gradients(twice: Bool) -> (loss: Double, Tensors) {
      let leaves = Tensors(problem.tensors.values.mapValues { $0.tracked() })
      let (y, pass) = problem.output(with: leaves, twice: twice)
      let loss = pass.penalties.reduce((y * problem.dy).sum) { $0 + $1 }
      loss.backward()
      return (loss.item, leaves)
    }
    let (once, twice) = (gradients(twice: false), gradients(twice: true))
    #expect(once.loss == twice.loss)
    for (key, leaf) in once.1.values where key.name != "instruction" {
      let (a, b) = (try #require(leaf.gradient), try #require(twice.1[key].gradient))
      #expect(a.largestMagnitude > 0 && distance(a, b) < 1e-13 * a.largestMagnitude, "\(key)")
    }
  }

  @Test func refusesWhatCannotBe() throws {
    func make(_ given: [String: OptionValue]) throws {
      _ = try RoutedAtoms.definition.make(Options(given, checkedBy: RoutedAtoms.options))
    }
    try make([:])
    try make(["prior_kl": .double(0.1), "instruction": .list([.int(1)])])
    for wrong: [String: OptionValue] in [
      ["top_k": .int(17)], ["prior_weight": .int(1)], ["prior_kl": .double(0.1)], ["temperature": .int(0)],
      ["rank": .int(0)], ["instruction": .list([.double(.nan)])], ["alpha": .int(0)],
    ] {
      #expect(throws: Refusal.self, "\(wrong)") { try make(wrong) }
    }
    #expect(throws: Refusal.self) { try method { $0.granularity = .sequence }.layout(of: sites) }
    #expect(throws: Refusal.self) { try method { $0.rank = 18 }.layout(of: sites) }
    #expect(throws: Refusal.self) {
      try method().layout(of: [Site(id: SiteID("lm_head"), use: "head", outputs: 20, inputs: 20)])
    }
    var tensors = try method().layout(of: sites).filled(Moment())
    tensors["instruction"] = Tensor([1, .infinity, 0, 0])
    #expect(throws: Refusal.self) { try method().check(tensors) }
  }
}
