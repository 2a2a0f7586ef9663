import PEFTKernel
import Registry

extension Law {
  func layout(_ trial: Trial) throws -> [String] {
    var faults: [String] = []
    let options = Options(trial.entry.projection.options)
    for bench in try trial.benches() {
      let place = bench.sites.map { "\($0.id) [\($0.outputs), \($0.inputs)]" }.joined(separator: ", ")
      faults += faultsOfSpecs(bench.layout, bench.sites).map { "on \(place): \($0)" }
      let count = bench.trainable.reduce(0) { $0 + $1.count }
      let expected = trial.method.parameterCount(bench.sites, options)
      if count != expected { faults.append("on \(place): \(count) trained numbers, but the formula says \(expected)") }
      if try Adapter.layout(bench.assembly, over: bench.sites) != bench.layout {
        faults.append("on \(place): laid out twice, the layout differs")
      }
    }
    return faults
  }

  private func faultsOfSpecs(_ layout: [TensorSpec], _ sites: [Site]) -> [String] {
    var faults: [String] = []
    let known = Set(sites.map(\.id))
    var keys: Set<TensorKey> = []
    var pairs: [Pair: [(side: String, rank: Int?)]] = [:]
    for spec in layout {
      if !keys.insert(spec.key).inserted { faults.append("\(spec.key) occurs twice") }
      if spec.shape.isEmpty || spec.shape.contains(where: { $0 < 1 }) { faults.append("\(spec.key) has shape \(spec.shape)") }
      if case .site(let id) = spec.key.scope, !known.contains(id) {
        faults.append("\(spec.key) belongs to no site of the adapter")
      }
      // A factor may read and write other widths than its site: those of slices, of bands, of a basis.
      switch spec.role {
      case .down(let pair?): pairs[pair, default: []].append(("down", spec.shape.first))
      case .up(let pair?): pairs[pair, default: []].append(("up", spec.shape.last))
      default: break
      }
    }
    for (pair, sides) in pairs {
      if sides.map(\.side).sorted() != ["down", "up"] {
        faults.append("pair \(pair.id) consists of \(sides.map(\.side).joined(separator: ", ")), not of one down and one up")
      } else if sides[0].rank != sides[1].rank {
        faults.append("pair \(pair.id) has no product: \(sides[0].rank ?? 0) columns or rows meet \(sides[1].rank ?? 0)")
      }
    }
    return faults
  }

  func axes(_ trial: Trial) throws -> [String] {
    var faults: [String] = []
    let (entry, axes) = (trial.entry, trial.method.axes)
    if entry.projection.name != axes.projection {
      faults.append("projects by \(entry.projection.name), not by \(axes.projection)")
    }
    if entry.initialization.name != axes.initialization {
      faults.append("starts by \(entry.initialization.name), not by \(axes.initialization)")
    }
    if entry.trainable.roles != axes.trainable {
      faults.append("trains \(entry.trainable.roles.sorted()), not \(axes.trainable.sorted())")
    }
    if trial.assembly.trainable != entry.trainable {
      faults.append("assembled, another subset is trainable than the entry names")
    }
    for bench in try trial.benches() where entry.hasAdapter && bench.trainable.isEmpty {
      faults.append("nothing is trainable on \(bench.sites.map(\.id.path))")
    }
    let restored = try trial.method.registry.entry(from: trial.method.registry.json(of: entry), place: "the entry as JSON")
    if restored != entry { faults.append("written as JSON and read back, the entry differs") }
    return faults
  }
}
