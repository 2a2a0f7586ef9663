import AdapterFiles
import Blocks
import Engine
import Files
import Models
import PEFTKernel

extension Law {
  /// As plain low-rank factors: the change itself where they are called exact, and as far from it as they say where not; in sums, too.
  func conversion(_ trial: Trial) throws -> [String] {
    guard trial.entry.hasAdapter else { return [] }
    var faults: [String] = []
    for bench in try trial.benches() {
      let adapter = try bench.movedAdapter()
      if case .refused(let reason) = trial.method.merge {
        switch converted(adapter, bench) {
        case .success: faults.append("a conversion to plain factors is not refused, though \(reason)")
        case .failure(let refusal) where !refusal.description.contains(reason):
          faults.append("a conversion is refused, but not because \(reason): \(refusal)")
        case .failure: break
        }
        continue
      }
      var changes: [SiteID: WeightChange] = [:]
      for site in bench.sites { changes[site.id] = try adapter.change(at: site) }
      func dense(_ site: Site) -> Tensor {
        let weight = bench.maps[site.id].weight(as: .float64)
        return changes[site.id]?.dense(on: weight) ?? .zeros(weight.shape, .float64)
      }
      func check(_ conversion: LoRAConversion, _ what: String, _ expected: (Site) -> Tensor) {
        for factors in conversion.sites {
          let (place, expected) = ("\(what) at \(factors.site.id)", expected(factors.site))
          let report = factors.report
          let measured = Self.distance(of: factors.product, from: expected)
          if abs(measured - report.error) > 1e-6 { faults.append("\(place) is off by \(measured), not by \(report.error)") }
          let stored = Self.distance(of: factors.stored, from: expected)
          if report.isExact, stored > 1e-5 { faults.append("\(place) is called exact and off by \(stored) in a file") }
          let bias = changes[factors.site.id]?.bias ?? .zeros([factors.site.outputs], .float64)
          let added = factors.bias ?? .zeros([factors.site.outputs], .float64)
          if relativeError(of: added.values, from: bias.values, floor: 1e-3) > 1e-9 {
            faults.append("\(place) adds another bias")
          }
        }
        if conversion.sites.map(\.site) != bench.sites { faults.append("\(what) leaves sites out") }
      }
      switch converted(adapter, bench) {
      case .success(let conversion):
        check(conversion, "the factors", dense)
        if !conversion.report.isExact { faults.append("without a bound on the rank, factors are not exact") }
      case .failure(let refusal) where refusal.reason.contains("has rank"):
        // Of full rank: there is a way, and it is said what it costs.
        if !refusal.remedy.contains("misses") {
          faults.append("a change of full rank is refused without the costs of a lower one")
        }
      case .failure(let refusal): faults.append("a conversion to plain factors is refused: \(refusal)")
      }
      for rank in [1, 3] {
        let conversion = try LoRAConversion([WeightedAdapter(adapter)], order: bench.sites, rank: rank)
        check(conversion, "rank \(rank)", dense)
        for factors in conversion.sites where factors.down.rows > rank {
          faults.append("rank \(rank) is exceeded at \(factors.site.id)")
        }
      }
      let other = try Self.pair(beside: adapter, bench)
      let (a, b) = (0.75, -0.5)
      let sum = try LoRAConversion(
        [WeightedAdapter(adapter, weight: a), WeightedAdapter(other, weight: b)], order: bench.sites, rank: .max)
      changes = changes.mapValues { change in
        var change = change
        change.bias = change.bias.map { $0 * a }
        return change
      }
      var others: [SiteID: Tensor] = [:]
      for site in other.sites {
        others[site.id] = try other.change(at: site).dense(on: .zeros([site.outputs, site.inputs], .float64))
      }
      check(sum, "\(a) · adapter + \(b) · another") { site in
        let own = dense(site) * a
        return others[site.id].map { own + $0 * b } ?? own
      }
    }
    return faults
  }

  private func converted(_ adapter: Adapter, _ bench: Bench) -> Result<LoRAConversion, Refusal> {
    Result { () throws(Refusal) in try LoRAConversion([WeightedAdapter(adapter)], order: bench.sites) }
  }

  /// A plain pair on the last of the sites.
  private static func pair(beside adapter: Adapter, _ bench: Bench) throws(Refusal) -> Adapter {
    let projection = LowRank(rank: 2, alpha: 3)
    let sites = Array(bench.sites.suffix(1))
    let layout = try projection.layout(of: sites)
    var tensors = Tensors()
    for spec in layout {
      var random = Philox(key: 17).stream(spec.key.description)
      tensors[spec.key] = random.normal(spec.shape, deviation: 0.3, .float64)
    }
    let assembly = Assembly(
      projection: projection, initialization: adapter.parameterization.initialization, trainable: TrainableSubset(roles: []))
    return try Adapter(assembly, sites: sites, layout: layout, tensors: tensors, on: bench.maps)
  }

  /// ‖A − B‖ / ‖B‖; the length of A where B is 0.
  private static func distance(of matrix: Tensor, from expected: Tensor) -> Double {
    let size = expected.sumOfSquares.squareRoot()
    return (matrix - expected).sumOfSquares.squareRoot() / (size > 0 ? size : 1)
  }

  /// A merged model computes what base and adapter compute; unmerged, it is the base to the byte, in memory and on the disk.
  func unmerge(_ trial: Trial) throws -> [String] {
    guard trial.entry.hasAdapter else { return [] }
    let shop = try Workshop(trial)
    let adapter = try shop.movedAdapter()
    let (base, adapted) = (shop.logits(nil), shop.logits(adapter))
    let merged: [String: Tensor]
    do { merged = try Merging.parameters(adapter, into: shop.model) } catch let refusal as Refusal {
      switch trial.method.merge {
      case .refused(let reason) where refusal.description.contains(reason): return []
      case .exact where refusal.reason.contains("bias"): return []
      default: return ["merging is refused: \(refusal)"]
      }
    }
    if case .refused(let reason) = trial.method.merge { return ["merging is not refused, though \(reason)"] }
    var faults: [String] = []
    let error = relativeError(of: shop.logits(nil, merged: merged).values, from: adapted.values, floor: 1e-2)
    if error > 1e-4 { faults.append("the merged model's logits are off by \(error)") }
    if !shop.logits(nil).isIdentical(to: base) { faults.append("unmerged, the model computes something else than the base") }
    if !shop.logits(adapter).isIdentical(to: adapted) { faults.append("unmerged, the adapter computes something else") }
    return try faults
      + ScratchFolder.using { parent in
        func at(_ name: String) -> String { Folder.join(parent, name) }
        try ModelWriter.write(shop.model, to: at("base"))
        let model = try ModelLoader.load(at("base"))
        func bytes(_ folder: String) throws -> [[UInt8]] {
          try Folder.names(in: at(folder)).map { try MappedFile(Folder.join(at(folder), $0)).withBytes { Array($0) } }
        }
        let before = try bytes("base")
        try Merging.merge(adapter, into: model, to: at("merged"))
        let agreement = try Agreement(model, adapter, with: ModelLoader.load(at("merged")), on: shop.examples.map(\.ids))
        var faults: [String] = []
        if agreement.largestDifference > 1e-4 * max(1, agreement.largestLogit) {
          faults.append("the merged directory's logits are off by \(agreement.largestDifference)")
        }
        try Unmerging.unmerge(at("merged"), to: at("unmerged"))
        for folder in ["base", "unmerged"] {
          if try bytes(folder) != before { faults.append("after merge and unmerge, \(folder) is not the base, byte for byte") }
        }
        return faults
      }
  }
}

extension LoRAConversion.Factors {
  /// s·B·A in double.
  fileprivate var product: Tensor { up.multiplied(by: down) * scale }

  /// The same from what a file holds.
  fileprivate var stored: Tensor {
    func rounded(_ tensor: Tensor) -> Tensor { tensor.converted(to: .float32).converted(to: .float64) }
    return rounded(up).multiplied(by: rounded(down)) * scale
  }
}
