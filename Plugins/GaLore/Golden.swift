import Blocks
import Engine
import PEFTKernel

extension GaLoreMethod {
  /// Steps of one weight; with 8 bits also the coding alone.
  static let golden = GoldenReader(
    reads: { $0.isOf("galore") },
    compute: { (file) throws(Refusal) in
      guard let rate = file.config["lr"]?.number else { throw Refusal("the file's config has no `lr`") }
      var given = file.options
      given["lr"] = nil
      given["rank"] = given.removeValue(forKey: "r")
      // The oracle codes moments of every size.
      given["min_8bit_size"] = given["min_8bit_size"] ?? .int(0)
      let rule = try adam.make(try Options(given, checkedBy: adam.options))
      let weight = try file.tensor("param.weight.0").copied()
      let site = Site(id: SiteID("site"), use: "attention.query", outputs: weight.rows, inputs: weight.columns)
      let parameters = [Parameter(name: "weight", role: nil, decays: true, value: weight, site: site)]
      guard let state = try rule.begin(parameters) as? GaLoreState else { throw Refusal("galore's state is another's") }
      var results = try file.coding()
      var t = 1
      while let gradient = file.tensors["grad.weight.\(t)"] {
        state.step(parameters, [gradient], StepEvidence(learningRate: rate))
        let memory = state.memories[0]
        let low = memory.lowRank?.copied()
        let (m, v) = memory.moments(low?.shape ?? [])
        let ours: [String: Tensor?] = [
          "param.weight": weight.copied(), "state.low_rank_gradient": low, "state.m": m?.copied(), "state.v": v?.copied(),
          "state.projector_left": memory.projector.left?.copied(), "state.projector_right": memory.projector.right?.copied(),
        ]
        for (name, value) in ours { results["\(name).\(t)"] = value }
        t += 1
      }
      guard t > 1 else { throw Refusal("the file has no step: no grad.weight.1") }
      return GoldenComputation(entry: "galore", results: results)
    })
}

extension GoldenFile {
  /// The code books and what they make of some numbers, where the file states them.
  fileprivate func coding() throws(Refusal) -> [String: Tensor] {
    var results: [String: Tensor] = [:]
    for (word, isSigned) in [("signed", true), ("unsigned", false)] {
      guard let input = tensors["codes.\(word).input"] else { continue }
      let coded = ByteMoments(input.floats, block: int("block") ?? 256, isSigned: isSigned)
      results["codes.\(word).book"] = Tensor(ByteMoments.book(isSigned))
      results["codes.\(word).codes"] = Tensor(coded.codes.map { Double($0) }, .float64)
      results["codes.\(word).absmax"] = Tensor(coded.peaks)
      results["codes.\(word).output"] = Tensor(coded.values)
    }
    return results
  }
}
