import Engine
import Files
import Models
import PEFTKernel

/// Writes any method that changes weights as a plain LoRA adapter, which PEFT and everything that reads its files can load.
public enum LoRAExport {
  /// What became of a site.
  public struct SiteReport: Sendable, Hashable {
    public var path: String
    /// Rank in the file.
    public var rank: Int
    /// ‖ΔW − B·A·s‖ / ‖ΔW‖ in the Frobenius norm; 0 where the file holds the change itself.
    public var error: Double
  }

  public struct Report: Sendable, Hashable {
    public var sites: [SiteReport]

    /// Whether every site's change is in the file up to rounding.
    public var isExact: Bool { sites.allSatisfy { $0.error == 0 } }
  }

  /// Writes `adapter` as a LoRA of the untouched base. A start off the base becomes part of it: A = [A; A₀], B = [B, −B₀].
  ///
  /// Exact where the change has at most `rank` (nil: without bound); else the best approximation of that rank, its error
  /// reported. Refuses methods whose change depends on the input. The base and `inputs` are never replaced.
  @discardableResult
  public static func write(
    _ adapter: Adapter, of model: any LanguageModel, rank: Int? = nil, existing: AtomicDirectory.Existing = .refuse,
    inputs: [String] = [], to folder: String
  ) throws -> Report {
    let inputs = inputs + [model.directory.path]
    try AtomicDirectory.check(folder, existing: existing, owns: AdapterFolder.owns, inputs: inputs)
    guard !adapter.layout.isEmpty else { throw Refusal("there is no adapter to export") }
    if let rank, rank < 1 { throw Refusal("rank is \(rank), but must be an integer of at least 1") }
    let changes = try adapter.changes(as: .float64)
    let hasBias = changes.contains { $0.change.bias != nil }
    var tensors: [SafetensorsWriter.Tensor] = []
    var (ranks, alphas, reports) = ([Int](), [Double](), [SiteReport]())
    var scales: [String: Double] = [:]
    for (site, change) in changes {
      let (pair, scale, error) = try factors(of: change.withoutGain(on: model.base(site.id)), at: site, rank: rank)
      var parts = [("lora_A.weight", pair.down), ("lora_B.weight", pair.up)]
      if hasBias {
        let bias = change.bias.map { $0 * (1 / scale) }
        parts.append(("lora_B.bias", bias ?? .zeros([site.outputs])))
      }
      for (name, tensor) in parts {
        let floats = tensor.floats
        guard floats.allSatisfy(\.isFinite) else { throw Refusal("the adapter is not finite at \(site.id)") }
        tensors.append(.init(name: AdapterNames.canonical(TensorKey(name, site.id)), shape: tensor.shape, floats: floats))
      }
      ranks.append(pair.rank)
      alphas.append(scale * Double(pair.rank))
      scales[site.id.path] = scale
      reports.append(SiteReport(path: site.id.path, rank: pair.rank, error: error))
    }
    let config = PEFTConfig(ranks: ranks, alphas: alphas, hasBias: hasBias, sites: changes.map(\.site), model: model)
    let digest = model.directory.tensorNames.isEmpty ? nil : try model.directory.digest()
    try AdapterWriter.files(
      config: .object(config.members), tensors, metadata: AdapterMetadata(scales: scales, baseDigest: digest),
      existing: existing, inputs: inputs, to: folder)
    return Report(sites: reports)
  }

  /// s·B·A = ΔW, or its best approximation of the rank.
  private static func factors(
    of change: WeightChange, at site: Site, rank limit: Int?
  ) throws(Refusal) -> (pair: FactorPair, scale: Double, error: Double) {
    var pairs: [(pair: FactorPair, factor: Double)] = []
    for chain in change.chains where !chain.isEmpty {
      pairs.append((FactorPair(chain), chain.reduce(1) { $0 * $1.scaled.factor }))
    }
    // A file has one scale for a site: that of the first chain; B takes what others differ by, which is a sign mostly.
    let scale = pairs.first.map(\.factor).flatMap { $0 == 0 ? nil : $0 } ?? 1
    guard !pairs.isEmpty else {
      return (FactorPair(up: .zeros([site.outputs, 1]), down: .zeros([1, site.inputs])), scale, 0)
    }
    let whole = FactorPair(
      sumOf: pairs.map { pair, factor in factor == scale ? pair : FactorPair(up: pair.up * (factor / scale), down: pair.down) })
    let most = min(limit ?? .max, max(site.outputs, site.inputs))
    guard whole.rank > most else { return (whole, scale, 0) }
    do {
      let (pair, error) = try whole.best(rank: most)
      return (pair, scale, error)
    } catch {
      throw Refusal("the change at \(site.id) cannot be approximated: \(error)")
    }
  }
}

extension WeightChange {
  /// The same change as a sum of chains: scaled rows are no sum of a few thin products, so that W' − W stands for them whole.
  fileprivate func withoutGain(on base: any BaseMap) -> WeightChange {
    guard gain != nil else { return self }
    return WeightChange(chains: [[Whole(matrix: dense(on: base.weight(as: .float64)))]], bias: bias)
  }
}

/// A change that is nothing but its matrix.
private struct Whole: LinearMap {
  let matrix: Tensor

  var outputs: Int { matrix.rows }
  var inputs: Int { matrix.columns }
  func apply(_ x: Tensor) -> Tensor { x.multiplied(byTransposeOf: matrix) }
  func dense() -> Tensor { matrix }
}
