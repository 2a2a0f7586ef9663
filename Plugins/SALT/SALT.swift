import Engine
import PEFTKernel

/// SALT, "Singular Value Adaptation with Low-Rank Transformation" [arXiv:2503.16055].
///
///     y = x·(U·ρ(K)·V)ᵀ + b,   K = diag(α ⊙ σ_top + β) ⊕ (diag(σ_rest) + X·Y),   W = U·diag(σ)·V
///
/// - Projection: `Spectrum`. The largest singular values get a scale and a shift each, the block of all others a low-rank update.
/// - Start: `UnchangedSpectrum`. One decomposition a site, after the base is loaded; step 0 is the base.
/// - Trainable: α, β, X and Y of every site, 2·p + 2·r·(k − p) numbers; α and β do not decay.
public enum SALTMethod {
  public static let plugin = Plugin(
    "salt", projections: [Spectrum.definition], inits: [UnchangedSpectrum.definition], goldens: [golden])

  static let golden = GoldenReader(reads: { $0.isOf("salt") }) { (file) throws(Refusal) in
    let weight = try file.tensor("weight")
    let site = Site(id: SiteID("site"), outputs: weight.rows, inputs: weight.columns)
    var (point, gradients, unchecked) = (Tensors(), [String: TensorKey](), [String: String]())
    for name in ["salt_scale", "salt_shift", "lora_X", "lora_Y"] {
      // With every direction in the top there is nothing for X and Y.
      guard let value = file.tensors["trainable.\(name)"] else { continue }
      guard value.count > 0 else {
        unchecked["grad.\(name)"] = "holds no numbers"
        continue
      }
      point[name, site.id] = value
      gradients[name] = TensorKey(name, site.id)
    }
    for name in ["svd_u", "svd_s", "svd_vt"] { point[name, site.id] = try file.tensor("frozen.\(name)") }
    var problem = GoldenCase(
      entry: "salt", options: file.options, sites: [site], weights: [site.id: weight], point: point, gradients: gradients)
    problem.unchecked = unchecked
    problem.initial = [
      "merged": { (made) throws(Refusal) in
        let (u, s, v) = made.basis
        return u.multipliedByRow(s).multiplied(by: v) + (try made.change(made.start.tensors, at: site))
      },
      "salt_scale": { (made) throws(Refusal) in made.start.tensors["salt_scale", site.id] },
      "salt_shift": { (made) throws(Refusal) in made.start.tensors["salt_shift", site.id] },
      "singular_values": { (made) throws(Refusal) in made.basis.s },
      "top_projector_left": { (made) throws(Refusal) in
        let top = made.basis.u.slice(columns: 0..<made.top)
        return top.multiplied(byTransposeOf: top)
      },
      "top_projector_right": { (made) throws(Refusal) in
        let top = made.basis.v.slice(rows: 0..<made.top)
        return top.transposed.multiplied(by: top)
      },
    ]
    return problem
  }
}

extension GoldenStart {
  fileprivate var basis: (u: Tensor, s: Tensor, v: Tensor) {
    let id = sites[0].id
    return (start.tensors["svd_u", id], start.tensors["svd_s", id], start.tensors["svd_vt", id])
  }

  fileprivate var top: Int { start.tensors["salt_scale", sites[0].id].count }
}

extension Spectrum {
  /// The options that make one, with the names others use.
  public static let options: [OptionSpec] = [
    OptionSpec("salt_rank", .integer(1...Int.max), default: .null, "directions with a scale and a shift; null for ratio_salt"),
    OptionSpec(
      "ratio_salt", .number(0...1, aboveLower: true), default: .null,
      "the same as a share of all directions, rounded down, at least one; null for salt_rank, or 0.1"),
    OptionSpec(
      "rank", .integer(1...65_536), default: .int(8), "rank of what mixes the other directions",
      aliases: [.init("r"), .init("lora_rank")]),
    OptionSpec("relu", .boolean, default: .bool(true), "whether the core is cut off at zero, as published"),
    OptionSpec(
      "reg_multiplier", .number(0...Double.greatestFiniteMagnitude), default: .double(0),
      "weight in the loss of the change's size"),
    OptionSpec(
      "store_basis", .boolean, default: .bool(true), "whether files hold the singular vectors, not only a checksum of them"),
  ]

  public init(_ options: Options) throws(Refusal) {
    let (count, share) = (options.optionalInt("salt_rank"), options.optionalDouble("ratio_salt"))
    if let count, let share {
      throw Refusal("salt_rank \(count) and ratio_salt \(share) are both given, and mean the same", remedy: "give one of them")
    }
    self.init(
      top: count.map { .count($0) } ?? .share(share ?? 0.1), rank: options.int("rank"), clips: options.bool("relu"),
      penaltyWeight: options.double("reg_multiplier"), storesBasis: options.bool("store_basis"))
  }

  /// The registered axis.
  public static let definition = AxisDefinition<any Projection>(
    "spectrum", "W' = U·ρ(K)·V in the weight's own singular basis", options: options
  ) { (options) throws(Refusal) in try Spectrum(options) }
}
