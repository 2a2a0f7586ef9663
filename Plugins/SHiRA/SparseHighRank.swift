import Blocks
import Engine
import PEFTKernel

/// ΔW = s·F with F [out, in] zero but for trained values at places that options choose: `MaskedEntries` with its places said here
/// [arXiv:2406.13175].
public struct SparseHighRank: Approximating, ChoosingEntries {
  public enum Places: String, Sendable, CaseIterable {
    /// Drawn, r·(in + out) or a share of all.
    case random
    /// Rows `offset`, `offset` + `every`, …, and the main diagonal.
    case rows
    /// The same by columns.
    case columns
  }

  /// What draws random places.
  public enum IndexGenerator: String, Sendable, CaseIterable {
    /// This project's counter-based generator, another stream for every site.
    case philox
    /// PyTorch's, begun anew at every site as PEFT does: sites of one shape have the same places.
    case torch
  }

  public var entries: MaskedEntries
  public var places: Places
  public var every: Int
  public var offset: Int
  public var generator: IndexGenerator
  /// Nil for the run's seed, or the one PyTorch has if it is given none.
  public var seed: UInt64?
  /// Whether files hold the places.
  public var savesIndices: Bool

  public init(
    entries: MaskedEntries, places: Places = .random, every: Int = 1, offset: Int = 0, generator: IndexGenerator = .philox,
    seed: UInt64? = nil, savesIndices: Bool = true
  ) {
    self.entries = entries
    self.places = places
    self.every = every
    self.offset = offset
    self.generator = generator
    self.seed = seed
    self.savesIndices = savesIndices
  }

  public func scale(at site: Site) -> Double { entries.scale(at: site) }

  /// As masked entries are laid out, with another count or another source of places where options say so.
  public func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    guard places == .random else {
      var specs: [TensorSpec] = []
      for site in sites { specs += try structured(site) }
      return specs
    }
    var specs = try entries.layout(of: sites)
    guard generator == .torch || seed != nil else { return specs }
    let byPath = Dictionary(sites.map { ($0.id, $0) }) { first, _ in first }
    for at in specs.indices where specs[at].role == .index {
      guard case .site(let id) = specs[at].key.scope, let site = byPath[id] else { continue }
      specs[at].fill = .computed(try drawn(specs[at].shape[1], at: site))
      specs[at].keep = savesIndices ? .stored : .seeded
    }
    return specs
  }

  private func drawn(_ count: Int, at site: Site) throws(Refusal) -> Computation {
    let all = site.outputs * site.inputs
    switch generator {
    case .philox:
      let stream = Philox(key: seed ?? 0).stream("shira").stream(site.id.path)
      return computation("philox \(stream.key)", site, count) {
        var random = stream
        return random.distinct(count, below: all)
      }
    case .torch:
      guard all <= TorchRandom.largestPermutation else {
        throw Refusal(
          "\(site.id) [\(site.outputs), \(site.inputs)] has more entries than PyTorch's draw of places is known for",
          remedy: "use index_generator: philox")
      }
      let seed = seed ?? TorchRandom.defaultSeed
      return computation("torch \(seed)", site, count) {
        var random = TorchRandom(seed: seed)
        return random.permutation(count, of: all).sorted()
      }
    }
  }

  /// Rows, then columns, of places given as numbers in row-major order.
  private func computation(
    _ name: String, _ site: Site, _ count: Int, _ places: @escaping @Sendable () -> [Int]
  ) -> Computation {
    let width = site.inputs
    return Computation("shira \(name) \(count) of [\(site.outputs), \(width)]") {
      let places = places()
      return places.map { Float($0 / width) } + places.map { Float($0 % width) }
    }
  }

  /// Rows or columns and the diagonal: the count is what results.
  private func structured(_ site: Site) throws(Refusal) -> [TensorSpec] {
    let side = places == .rows ? site.outputs : site.inputs
    guard offset < side else {
      throw Refusal(
        "offset \(offset) is beyond the \(side) \(places.rawValue) of \(site.id)", remedy: "use an offset of at most \(side - 1)")
    }
    let (places, every, offset, outputs, inputs) = (places, every, offset, site.outputs, site.inputs)
    let chosen = (side - offset + every - 1) / every
    let diagonal = min(outputs, inputs)
    let onDiagonal = offset < diagonal ? (diagonal - offset + every - 1) / every : 0
    let count = chosen * (places == .rows ? inputs : outputs) + diagonal - onDiagonal
    let fill = computation("\(places.rawValue) \(every) \(offset)", site, count) {
      (0..<outputs).flatMap { row in
        (0..<inputs).filter { column in
          let line = places == .rows ? row : column
          return row == column || (line >= offset && (line - offset) % every == 0)
        }.map { row * inputs + $0 }
      }
    }
    return [
      TensorSpec(TensorKey(MaskedEntries.values, site.id), [count], .entries),
      TensorSpec(
        TensorKey(MaskedEntries.indices, site.id), [2, count], .index, fill: .computed(fill),
        keep: savesIndices ? .stored : .seeded, decays: false),
    ]
  }

  public func check(_ stored: Tensors, at sites: [Site]) throws(Refusal) { try entries.check(stored, at: sites) }

  public func change(at site: Site, _ t: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    try entries.change(at: site, t, on: base)
  }

  /// The best entries for a target are entries of its own choice, wherever these are to be.
  public func approximate(
    _ target: Target, at site: Site, _ layout: [TensorSpec], _ derived: Tensors, _ random: Philox
  ) throws(Refusal) -> Approximation {
    guard places == .random, savesIndices else {
      throw Refusal(
        "places at \(site.id) are \(places == .random ? "not saved" : "by \(places.rawValue)"), so no target can choose them",
        remedy: "use places: random and save_indices: true")
    }
    return try entries.approximate(target, at: site, layout, derived, random)
  }
}
