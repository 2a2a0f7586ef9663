import Blocks
import Engine
import PEFTKernel

extension AdaPreLoRAMethod {
  static let golden = GoldenReader(
    reads: { $0.isOf("adaprelora") },
    compute: { (file) throws(Refusal) in
      let steps = try file.steps(AdaPreLoRARule.definition, product: "given.G")
      let rule = try AdaPreLoRARule(file.options(of: AdaPreLoRARule.definition))
      var results = steps.results
      for t in 1...steps.last {
        let (gradient, state, direction) = (steps.gradients[t], steps.states[t], steps.directions[t])
        let energies = rule.energies(of: steps.step(t))
        let ours: [String: Tensor?] = [
          "state.rows": state["rows"], "state.cols": state["cols"],
          // The file states the moments although they are the gradients where beta1 is 0.
          "state.momentum_A": state["momentum_A"] ?? gradient.a, "state.momentum_B": state["momentum_B"] ?? gradient.b,
          "direction.lora_A": direction.a, "direction.lora_B": direction.b,
          "given.row_energy": energies?.rows, "given.col_energy": energies?.columns,
        ]
        for (name, value) in ours { results["\(name).\(t)"] = value }
      }
      return GoldenComputation(entry: "adaprelora", results: results)
    })
}
