import Blocks
import DoRA
import Engine
import Files
import JSON
import Models
import PEFTKernel
import Training

// Claims about memory: SNELL [arXiv:2411.01800] and DoRA by factored norms [arXiv:2603.22276].

/// Sparse tuning as it is done without a method for it: a whole ΔW is trained and a mask, here the largest tenth of the weights, says
/// which entries count.
struct DenseMasked: Projection {
  var density = 0.1

  func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    sites.flatMap { site in
      [
        TensorSpec(TensorKey("values", site.id), [site.outputs, site.inputs], .entries),
        TensorSpec(TensorKey("mask", site.id), [site.outputs, site.inputs], .constant),
      ]
    }
  }

  func complete(_ started: Tensors, at site: Site, on base: any BaseMap) throws(Refusal) -> Start {
    let values = base.weight(as: .float32).values.map(\.magnitude)
    let least = values.sorted()[Int(Double(values.count) * (1 - density))]
    let mask = Tensor(values.map { $0 >= least ? 1 : 0 }, shape: [site.outputs, site.inputs], .float32)
    return Start(Tensors([TensorKey("mask", site.id): mask]))
  }

  func change(at site: Site, _ t: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    WeightChange(chains: [[Matrix(t["values", site.id] * t["mask", site.id])]])
  }
}

extension Part {
  static let sparseMemory = Part(name: "snell-memory") { bench in
    let masked = Assembly(
      projection: DenseMasked(), initialization: try bench.method("masked").initialization,
      trainable: TrainableSubset(roles: ["entries"]))
    let methods = [
      ("SNELL r=8", try bench.method("snell")), ("LoRA r=8", try bench.method("lora")),
      ("masked, a tenth, values and places only", try bench.method("masked", ["density": .double(0.1)])),
      ("a dense ΔW under a mask", masked),
      ("full fine-tuning, the least that a mask in place could take", try bench.method("full")),
    ]
    var (rows, data, shares): ([[String]], [JSON.Member], [Double]) = ([], [], [])
    let wide = try ModelLoader.fresh(config: config(bench), seed: 1)
    for (place, model) in [("2 layers of width \(bench.scale.width)", wide), (Bench.model, try ModelLoader.load(Bench.model))] {
      let examples = StepCost.examples(2, of: 128, vocabulary: model.vocabularySize)
      var costs: [StepCost] = []
      for (label, method) in methods {
        let cost = try StepCost(of: method, on: model, examples, steps: 2)
        costs.append(cost)
        rows.append([
          place, label, Text.count(cost.trained), Text.mebibytes(cost.peak),
          Text.milliseconds(Statistics.median(cost.seconds) ?? 0),
        ])
        data.append(.init("\(place), \(label)", cost.json))
        bench.say("  \(place), \(label): \(Text.mebibytes(cost.peak))")
        MemoryUsage.trim()
      }
      // Against the leaner of the two dense ways.
      shares.append(Double(costs[0].peak) / Double(min(costs[3].peak, costs[4].peak)))
    }
    let finding = Finding(
      claim:
        "SNELL tunes sparsely with less peak memory than tuning a dense masked matrix (31 to 40 % less than earlier sparse tuning) "
        + "[arXiv:2411.01800]",
      setting: "the most that the tensors of training steps hold beyond the base, 2 rows of 128 tokens, all linear maps, AdamW, "
        + "float32; peaks are the same at every run; holds if SNELL takes less than the leaner of the two dense ways on both models",
      head: ["model", "method", "trained numbers", "peak", "a step"], rows: rows,
      verdict: shares.allSatisfy { $0 < 1 } ? .yes : shares.contains { $0 < 1 } ? .partly : .no,
      words: "\(Text.fixed((1 - shares[0]) * 100, 0)) % less than the leaner dense way where weights are large, "
        + "\(Text.fixed((1 - shares[1]) * 100, 0)) % less on \(Bench.model), where activations are most of it")
    return Outcome(findings: [finding], data: .object(data))
  }

  /// The folder of a model that is all weights: no file of any size has to be shipped for it.
  private static func config(_ bench: Bench) throws -> String {
    let (width, path) = (bench.scale.width, Folder.join(bench.folder, "wide"))
    let config: JSON = [
      "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": .int(width),
      "intermediate_size": .int(3 * width),
      "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": .int(width / 8), "vocab_size": 256,
      "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10_000.0, "tie_word_embeddings": true,
      "hidden_act": "silu",
    ]
    try Folder.create(path)
    try WholeFile.write(config.text() + "\n", to: Folder.join(path, "config.json"))
    return path
  }

  static let factoredNorm = Part(name: "dora-norm") { bench in
    let (size, rank) = (bench.scale.site, 64)
    let site = Site(id: SiteID("site"), outputs: size, inputs: size)
    let projection = WeightDecomposed(pair: LowRank(rank: rank, alpha: Double(rank)))
    var random = Philox(key: 1)
    let weight = random.normal([size, size], deviation: 0.02)
    let bases = Bases(weights: [site.id: weight])
    var (tensors, factors): (Tensors, [Tensor]) = (Tensors(), [])
    for spec in try projection.layout(of: [site]) where spec.role != .magnitude {
      tensors[spec.key] = random.normal(spec.shape, deviation: 0.02)
      factors.append(tensors[spec.key])
    }
    tensors.values.merge(try projection.complete(tensors, at: site, on: bases[site.id]).tensors.values) { $1 }
    // B [out, r] is the one whose columns are ranks.
    guard let up = factors.first(where: { $0.columns == rank }), let down = factors.first(where: { $0.rows == rank }) else {
      throw Fault("DoRA has other factors")
    }
    func timed(_ body: () -> Tensor) -> (peak: Int, seconds: Double, value: Tensor) {
      let began = ContinuousClock.now
      let (value, peak) = MemoryMeter.measure(body)
      return (peak, (ContinuousClock.now - began) / .seconds(1), value)
    }
    func factored() -> Tensor {
      let prepared = projection.prepare(tensors, Moment(mode: .training), bases)
      return prepared.values.first { $0.key.name == "excess" }?.value ?? .zeros([size])
    }
    func dense() -> Tensor { (weight + up.multiplied(by: down)).rowEnergies.squareRoot }
    var (mine, theirs) = (timed(factored), timed(dense))
    for _ in 1..<bench.scale.repeats {
      let (a, b) = (timed(factored), timed(dense))
      (mine.seconds, theirs.seconds) = (min(mine.seconds, a.seconds), min(theirs.seconds, b.seconds))
    }
    // At the start g − 1 = 0: the lengths that it follows from are the magnitudes.
    let lengths = tensors.values.first { $0.key.name.contains("magnitude") }?.value ?? .zeros([size])
    let gap = zip(lengths.values, theirs.value.values).reduce(0) { max($0, abs($1.0 - $1.1) / $1.1) }
    guard gap < 1e-4, mine.value.largestMagnitude < 1e-6 else { throw Fault("the two norms differ by \(gap)") }
    let matrix = 4 * size * size
    let ratio = Double(matrix) / Double(mine.peak)
    let finding = Finding(
      claim: "DoRA's factored norm needs O(out·r + r²) temporary memory where the dense product needs out·in [arXiv:2603.22276]",
      setting: "one site of \(size) × \(size), rank \(rank), float32, the lengths of all rows of W + s·B·A (both agree to "
        + "\(Text.fixed(gap * 1e6, 1)) parts in a million); the most that tensors held at once, the shortest time of "
        + "\(bench.scale.repeats); holds if it is a tenth or less of one matrix out × in, which no dense way does without",
      head: ["way", "temporary memory", "time"],
      rows: [
        ["factored", Text.mebibytes(mine.peak), Text.milliseconds(mine.seconds)],
        ["dense product and sum", Text.mebibytes(theirs.peak), Text.milliseconds(theirs.seconds)],
        ["one matrix out × in", Text.mebibytes(matrix), ""],
      ],
      verdict: ratio >= 10 ? .yes : ratio > 1 ? .partly : .no,
      words:
        "\(Text.mebibytes(mine.peak)) against \(Text.mebibytes(theirs.peak)): \(Text.fixed(ratio, 1)) times less than one dense matrix, "
        + "\(Text.fixed(Double(theirs.peak) / Double(mine.peak), 1)) times less than what the dense way holds; "
        + "\(Text.fixed(theirs.seconds / mine.seconds, 2)) times as fast")
    let data: JSON = [
      "factored": ["bytes": .int(mine.peak), "seconds": .double(mine.seconds)],
      "dense": ["bytes": .int(theirs.peak), "seconds": .double(theirs.seconds)], "matrix": .int(matrix), "gap": .double(gap),
    ]
    return Outcome(findings: [finding], data: data)
  }
}
