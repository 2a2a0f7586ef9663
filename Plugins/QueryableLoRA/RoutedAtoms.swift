import Blocks
import Engine
import PEFTKernel

/// Queryable LoRA: between the factors of every site stands a core that each token picks from one memory of atoms
/// [arXiv:2605.08423].
///
///     y = W·x + s·B·(R·(A·x)),  R = Σ_m α_m·U_m,  s = alpha/rank
///
/// The atoms U_m [rank, rank] are shared by all sites, A and B belong to a site. A block of consecutive layers takes one
/// routing α, at its first site (`Router`); its sites share it. Beyond LoRA a site costs 2·T·M·rank² flops forward.
public struct RoutedAtoms: Projection {
  /// What routes for itself.
  public enum Granularity: String, Sendable, CaseIterable {
    /// Every row: exact under causal decoding.
    case token
    /// Every sequence, by the mean over its flagged rows.
    case sequence
  }

  public var rank: Int
  public var alpha: Double
  /// M.
  public var atoms: Int
  /// d.
  public var keyWidth: Int
  /// k.
  public var choices: Int
  public var layersPerBlock: Int
  /// e, a constant of the run; empty where there is none.
  public var instruction: [Double]
  /// λ.
  public var priorWeight: Double
  /// τ.
  public var temperature: Double
  public var granularity: Granularity
  /// Weight of the mean KL(α ‖ prior) in the loss.
  public var divergenceWeight: Double
  public var detachesSummary: Bool
  public var dropout: Double

  public init(
    rank: Int = 8, alpha: Double? = nil, atoms: Int = 16, keyWidth: Int = 16, choices: Int = 4, layersPerBlock: Int = 4,
    instruction: [Double] = [], priorWeight: Double? = nil, temperature: Double = 1, granularity: Granularity = .token,
    divergenceWeight: Double = 0, detachesSummary: Bool = false, dropout: Double = 0
  ) {
    self.rank = rank
    self.alpha = alpha ?? 2 * Double(rank)
    self.atoms = atoms
    self.keyWidth = keyWidth
    self.choices = choices
    self.layersPerBlock = layersPerBlock
    self.instruction = instruction
    self.priorWeight = priorWeight ?? (instruction.isEmpty ? 0 : 1)
    self.temperature = temperature
    self.granularity = granularity
    self.divergenceWeight = divergenceWeight
    self.detachesSummary = detachesSummary
    self.dropout = dropout
  }

  /// B starts at zero, so step 0 is the base; atoms start near the identity, so training starts as LoRA's.
  public func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    for site in sites { try check(site) }
    func uniform(_ inputs: Int) -> Fill { .uniform(bound: 1 / Double(inputs).squareRoot()) }
    let blocks = RoutingBlocks(sites, layersPerBlock: layersPerBlock)
    var specs = [
      TensorSpec(TensorKey("atoms"), [atoms, rank, rank], .core, fill: .identity(noise: 0.02), decays: false),
      TensorSpec(TensorKey("atom_keys"), [atoms, keyWidth], .router, fill: .normal(deviation: 1), decays: false),
      TensorSpec(TensorKey("query_proj"), [keyWidth, 2 * rank], .router, fill: uniform(2 * rank)),
    ]
    if blocks.count > 1 {
      specs.append(TensorSpec(TensorKey("depth_query"), [blocks.count - 1, rank], .router, decays: false))
    }
    if !instruction.isEmpty {
      let width = instruction.count
      specs.append(TensorSpec(TensorKey("instruction_proj"), [keyWidth, width], .router, fill: uniform(width)))
      specs.append(TensorSpec(TensorKey("instruction"), [width], .constant, fill: .values(instruction), decays: false))
    }
    for site in sites {
      specs.append(TensorSpec(TensorKey("lora_A", site.id), [rank, site.inputs], .down(nil), fill: uniform(site.inputs)))
      specs.append(TensorSpec(TensorKey("lora_B", site.id), [site.outputs, rank], .up(nil)))
    }
    return specs
  }

  private func check(_ site: Site) throws(Refusal) {
    guard rank <= min(site.inputs, site.outputs) else {
      throw Refusal(
        "\(site.id) [\(site.outputs), \(site.inputs)] cannot take rank \(rank), which is one for all sites",
        remedy: "use a smaller rank, or leave the site out")
    }
    // The loss reads the head some labelled rows at a time: there is no pass of all rows to route in.
    guard site.use != "head" else {
      throw Refusal("routing cannot reach \(site.id)", remedy: "leave the head out of the targets")
    }
    // Pooling over a whole sequence would let a token see what follows it.
    guard granularity == .token || site.layer == nil else {
      throw Refusal(
        "granularity sequence pools over rows, but in a decoder such as that of \(site.id) a row must not see later ones",
        remedy: "use granularity token")
    }
  }

  public func check(_ stored: Tensors) throws(Refusal) {
    guard stored.optional("instruction")?.isFinite != false else { throw Refusal("the instruction is not finite") }
  }

  /// W_e·e is the same for every token and block, so it is made once per step.
  public func prepare(_ stored: Tensors, _ now: Moment, _ bases: Bases) -> Tensors {
    guard let projection = stored.optional("instruction_proj") else { return stored }
    var prepared = stored
    let instruction = stored["instruction"].reshaped([1, projection.columns])
    prepared["instruction_query"] = instruction.multiplied(byTransposeOf: projection).reshaped([projection.rows])
    return prepared
  }

  public func output(_ call: SiteCall, _ t: Tensors) -> Tensor {
    var routing = call.pass[note: Routing.self]
    let reduced = call.branchInput(dropout).multiplied(byTransposeOf: t["lora_A", call.site.id])
    let isLeader = routing.enter(call, layersPerBlock)
    if isLeader { route(reduced, &routing, call.pass, t) }
    let routed = reduced.mixture(of: t["atoms"], routing.weights)
    if isLeader { routing.remember(pooled(routed, call.pass), stopping: detachesSummary ? call.pass.now : nil) }
    call.pass[note: Routing.self] = routing
    return routed.linear(t["lora_B", call.site.id], scale: scale(at: call.site), addedTo: call.baseOutput)
  }

  public func scale(at site: Site) -> Double { alpha / Double(rank) }

  /// One atom leaves nothing to choose: then ΔW = s·B·U₁·A.
  public func change(at site: Site, _ t: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    guard atoms == 1 else {
      throw Refusal(
        "queryable-lora picks another update for every token, so there is no weight to merge into",
        remedy: "keep the adapter beside its base")
    }
    return WeightChange(chains: [
      [
        Matrix(t["lora_B", site.id], scale: scale(at: site)), Matrix(t["atoms"].reshaped([rank, rank])),
        Matrix(t["lora_A", site.id]),
      ]
    ])
  }
}
