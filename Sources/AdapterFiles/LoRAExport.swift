import Engine
import Files
import Models
import PEFTKernel

/// Writes any method that changes weights, or a sum of several, as a plain LoRA adapter, which PEFT and everything that reads its
/// files can load.
public enum LoRAExport {
  public typealias Report = LoRAConversion.Report

  /// Writes `adapter` as a LoRA of the untouched base. A start off the base becomes part of it: A = [A; A₀], B = [B, −B₀].
  ///
  /// Exact where the change has at most `rank` (nil: whatever is exact); else the best approximation of that rank, its error
  /// reported. See ``LoRAConversion`` for what is refused. The base and `inputs` are never replaced.
  @discardableResult
  public static func write(
    _ adapter: Adapter, of model: any Model, rank: Int? = nil, existing: AtomicDirectory.Existing = .refuse,
    inputs: [String] = [], to folder: String
  ) throws -> Report {
    try write(sum: [WeightedAdapter(adapter)], of: model, rank: rank, existing: existing, inputs: inputs, to: folder)
  }

  /// Writes Σ wᵢ·ΔWᵢ of adapters of any methods on one base. Biases that they add to the base's are summed as well.
  @discardableResult
  public static func write(
    sum terms: [WeightedAdapter], of model: any Model, rank: Int? = nil,
    existing: AtomicDirectory.Existing = .refuse, inputs: [String] = [], to folder: String
  ) throws -> Report {
    let inputs = inputs + [model.directory.path]
    try AtomicDirectory.check(folder, existing: existing, owns: AdapterFolder.owns, inputs: inputs)
    let conversion = try LoRAConversion(terms, order: model.adaptable, rank: rank)
    let hasBias = conversion.sites.contains { $0.bias != nil }
    let sites = conversion.sites.map(\.site)
    let spelled = AdapterNames(sites, of: model)
    var tensors: [SafetensorsWriter.Tensor] = []
    for factors in conversion.sites {
      let names = PEFTConfig.factors(at: factors.site)
      var parts = [(names.down, factors.down), (names.up, factors.up)]
      if hasBias, factors.site.kind == .linear {
        let bias = factors.bias.map { $0 * (1 / factors.scale) }
        parts.append(("lora_B.bias", bias ?? .zeros([factors.site.outputs])))
      }
      for (name, tensor) in parts {
        let floats = tensor.floats
        guard floats.allSatisfy(\.isFinite) else { throw Refusal("the change is too large for F32 at \(factors.site.id)") }
        tensors.append(
          .init(name: spelled.canonical(TensorKey(name, factors.site.id)), shape: tensor.shape, floats: floats))
      }
    }
    let subset = subset(of: terms)
    let names = try model.trainedNames(subset, at: sites)
    try AdapterWriter.checkDrawn(model, names)
    for name in names {
      let tensor = sum(of: terms, name, model)
      let floats = tensor.floats
      guard floats.allSatisfy(\.isFinite) else { throw Refusal("\(name) is not finite in F32") }
      tensors.append(.init(name: spelled.trained(name), shape: tensor.shape, floats: floats))
    }
    let config = PEFTConfig(
      ranks: conversion.sites.map(\.down.rows), alphas: conversion.sites.map { $0.scale * Double($0.down.rows) },
      hasBias: hasBias, sites: sites, model: model, subset: subset)
    let scales = Dictionary(conversion.sites.map { ($0.site.id.path, $0.scale) }) { first, _ in first }
    let digest = model.directory.tensorNames.isEmpty ? nil : try model.directory.digest()
    try AdapterWriter.files(
      config: .object(config.members), tensors,
      metadata: AdapterMetadata(scales: scales, baseDigest: digest, labels: model.classes),
      existing: existing, inputs: inputs, to: folder)
    return conversion.report
  }

  /// What any of the adapters brings along of the base.
  private static func subset(of terms: [WeightedAdapter]) -> TrainableSubset {
    var all = TrainableSubset(roles: [])
    for subset in terms.map(\.adapter.parameterization.trainable) where !subset.base {
      all.modules += subset.modules.filter { !all.modules.contains($0) }
      if all.biases != .all, subset.biases != .none { all.biases = subset.biases }
    }
    return all
  }

  /// A tensor of the base and what each of the adapters makes of it: base + Σ wᵢ·(tensorᵢ − base).
  private static func sum(of terms: [WeightedAdapter], _ name: String, _ model: any Model) -> Tensor {
    if terms.count == 1, terms[0].weight == 1, let tensor = terms[0].adapter.trained[name] { return tensor }
    let base = model.values(of: name).converted(to: .float64)
    return terms.reduce(base) { sum, term in
      guard let tensor = term.adapter.trained[name] else { return sum }
      return sum + (tensor.converted(to: .float64) - base) * term.weight
    }
  }
}
