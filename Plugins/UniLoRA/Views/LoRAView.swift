import Engine

/// LoRA: θ_d is the factors themselves. P = I, c = 0.
struct LoRAView: FactorMap {
  let positions: Int

  var length: Int { positions }

  func project(_ theta: Tensor) -> Tensor { theta }
}
