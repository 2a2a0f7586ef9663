import Blocks
import Engine
import Files
import JSON
import Models
import PEFTKernel
import Training

// QWHA [arXiv:2509.17428]: what is left of quantization's error before training.

extension Part {
  private struct Start: Sendable {
    var label: String
    var method: Assembly
    /// Rounds in which codes and adapter take turns.
    var rounds: Int
  }

  static let quantizedStarts = Part(name: "qwha-error") { bench in
    let (rank, model) = (8, try ModelLoader.load(Bench.model))
    let sites = ModelQuantizer.sites(of: model)
    func grams(_ file: String, _ samples: Int) throws -> [SiteID: Tensor] {
      let path = Folder.join(Bench.data, file)
      return try Calibration.grams(
        of: sites, on: model, examples: Calibration.examples(path, for: model, samples: samples, length: nil))
    }
    let (fitted, measured) = (try grams("train.jsonl", bench.scale.calibration), try grams("eval.jsonl", bench.scale.measured))
    let loftq = try bench.method("loftq", ["rank": .int(rank)])
    let starts = [
      Start(label: "LoftQ, 1 round", method: loftq, rounds: 1), Start(label: "LoftQ, 5 rounds", method: loftq, rounds: 5),
      Start(
        label: "low-rank in the output's metric",
        method: try bench.method("loftq", ["rank": .int(rank), "metric": .string("gram")]), rounds: 1),
      Start(label: "QWHA", method: try bench.method("qwha", ["rank": .int(rank)]), rounds: 1),
    ]
    var (rows, data, verdicts, words): ([[String]], [JSON.Member], [Bool], [String]) = ([], [], [], [])
    for bits in [2, 3, 4] {
      let quantizer = try IntegerQuantizer(IntegerGrid(bits: bits, groupSize: 64))
      var shares = [[Double]](repeating: [], count: starts.count)
      for site in sites {
        let weight = model.base(site.id).weight(as: .float32)
        guard let fit = fitted[site.id], let gram = measured[site.id] else { throw Fault("\(site.id) saw no inputs") }
        let metric = Metric.gram(gram)
        let alone = metric.length(of: try quantizer.quantized(weight, gram: nil).error(of: weight))
        for (index, start) in starts.enumerated() {
          shares[index].append(metric.length(of: try left(weight, start, quantizer, at: site, fit)) / alone)
        }
      }
      // Site by site against the better form of LoftQ.
      let rivals = zip(shares[0], shares[1]).map { min($0, $1) }
      let ratio = Interval(zip(shares[3], rivals).map { $0 / $1 })
      let isBelow = ratio.map { $0.mean + ($0.halfWidth ?? 0) < 1 } ?? false
      verdicts.append(isBelow)
      words.append("\(bits) bits: \(Text.interval(ratio, 3)) times LoftQ's")
      for (start, share) in zip(starts, shares) {
        rows.append(["\(bits)", start.label, Text.interval(Interval(share), 3)])
        data.append(.init("\(bits) bits, \(start.label)", .array(share.map { .double($0) })))
      }
      bench.say("  \(words[words.count - 1])")
    }
    let finding = Finding(
      claim:
        "QWHA's start leaves less of the layers' output error at 2, 3 and 4 bits than a LoRA-based start (LoftQ) of equal size "
        + "[arXiv:2509.17428]",
      setting: "the \(sites.count) linear maps of \(Bench.model) in integers, groups of 64, rounded to nearest; "
        + "8·(in + out) trained numbers a site each (QWHA stores their places too); starts see \(bench.scale.calibration) problems, "
        + "errors ‖E·Xᵀ‖ are of \(bench.scale.measured) others, as a share of quantization's alone; mean over the sites ± 95 % "
        + "t-interval, nothing is drawn; holds if it is below the better of LoftQ's two at all three widths",
      head: ["bits", "start", "share of the error that is left"], rows: rows,
      verdict: verdicts.allSatisfy(\.self) ? .yes : verdicts.contains(true) ? .partly : .no,
      words: words.joined(separator: "; "))
    return Outcome(findings: [finding], data: .object(data))
  }

  /// E = W − Q − ΔW after the start's rounds, in double.
  private static func left(
    _ weight: Tensor, _ start: Start, _ quantizer: IntegerQuantizer, at site: Site, _ gram: Tensor
  ) throws -> Tensor {
    guard let projection = start.method.projection as? any Approximating,
      let strategy = start.method.initialization as? QuantizationErrorTarget
    else { throw Fault("\(start.label) starts from no error") }
    let layout = try projection.layout(of: [site])
    var taken = Tensor.zeros(weight.shape)
    var error = taken
    for _ in 0..<start.rounds {
      let quantized = try quantizer.quantized(weight - taken, gram: nil)
      let base = FrozenMap(matrix: quantized.matrix)
      var evidence = Evidence { _ in base.weight(as: .float32) }
      evidence.original = { _ in weight }
      evidence.grams[site.id] = gram
      let near = try projection.approximate(
        strategy.target(at: site, evidence), at: site, layout, Tensors(), Philox(key: 1).stream(site.id.path))
      taken = try projection.change(at: site, near.tensors, on: base).dense(on: weight)
      error = quantized.error(of: weight) - taken.converted(to: .float64)
    }
    return error
  }
}
