import Engine
import Models
import PEFTKernel
import Testing

/// Adds a low-rank map at every site, as an adapter does.
private struct TinyUpdate: Projection {
  func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    sites.flatMap { site in
      [
        TensorSpec(TensorKey("down", site.id), [2, site.inputs], .entries, fill: .normal(deviation: 0.3)),
        TensorSpec(TensorKey("up", site.id), [site.outputs, 2], .entries, fill: .normal(deviation: 0.3)),
      ]
    }
  }

  func change(at site: Site, _ prepared: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    throw Refusal("not asked for")
  }

  func output(_ call: SiteCall, _ prepared: Tensors) -> Tensor {
    // Methods look at the sequences of a pass: they have to be those of the input.
    precondition(call.pass.rows.count == call.input.rows)
    let inner = call.input.linear(prepared["down", call.site.id])
    return call.baseOutput + inner.linear(prepared["up", call.site.id])
  }
}

@Suite struct EncoderGradientTests {
  static let cases = [
    "bert-of-many-labels", "bert-pooled", "roberta-regression", "vit-pooled", "vit-narrow-heads", "clip-largest-id",
  ]
  .map { EncoderCase(name: "encoders/" + $0) }

  /// A number that depends on everything a model gives, each in its own way.
  private func total(_ outputs: [String: Tensor]) -> Tensor {
    var sum: Tensor?
    for (index, name) in outputs.keys.sorted().enumerated() {
      guard let output = outputs[name] else { continue }
      var random = Philox(key: UInt64(index))
      let part = (output * random.normal(output.shape, deviation: 0.3, output.scalar)).sum
      sum = sum.map { $0 + part } ?? part
    }
    return sum ?? .zeros([1])
  }

  private func check(
    _ values: [String: Tensor], _ value: ([String: Tensor]) -> Tensor, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let leaves = values.mapValues { $0.tracked() }
    value(leaves).backward()
    var random = Philox(key: 7)
    for (name, tensor) in values.sorted(by: { $0.key < $1.key }) {
      let gradient = try #require(leaves[name]?.gradient, "\(name) has no gradient", sourceLocation: sourceLocation)
      #expect(gradient.shape == tensor.shape, sourceLocation: sourceLocation)
      let all = gradient.values
      let largest = try #require(all.indices.max { abs(all[$0]) < abs(all[$1]) })
      for i in [largest, random.integer(below: tensor.count)] {
        func moved(_ step: Double) -> Double {
          var entries = tensor.values
          entries[i] += step
          var others = values
          others[name] = Tensor(entries, shape: tensor.shape, .float64)
          return value(others).item
        }
        let numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5
        #expect(abs(all[i] - numeric) < 1e-6 * max(1, abs(numeric)), "\(name)[\(i)]", sourceLocation: sourceLocation)
      }
    }
  }

  @Test(arguments: cases) func fullGradientsAreCentralDifferences(_ test: EncoderCase) throws {
    let (model, input) = (try test.model(), try EncoderInput(test))
    let values = Dictionary(
      uniqueKeysWithValues: model.parameters.map { ($0.name, model.parameter($0.name).converted(to: .float64)) })
    try check(values) { trained in total(input.outputs(model, .float64) { $0.trained = trained }) }
  }

  @Test(arguments: cases) func adaptersAtEverySiteLearn(_ test: EncoderCase) throws {
    let (model, input) = (try test.model(), try EncoderInput(test))
    let method = Assembly(projection: TinyUpdate(), initialization: FillStart(), trainable: TrainableSubset(roles: ["entries"]))
    let layout = try Adapter.layout(method, over: model.sites)
    let start = layout.filled(Moment(seed: 1))
    let adapter = try Adapter(method, sites: model.sites, layout: layout, tensors: start, on: Bases { model.base($0) })
    let keys = Dictionary(uniqueKeysWithValues: layout.map { ($0.key.description, $0.key) })
    let values = keys.mapValues { start[$0].converted(to: .float64) }
    try check(values) { values in
      var stored = Tensors()
      for (name, key) in keys { stored[key] = values[name] ?? start[key] }
      let attachment = PEFTKernel.Attachment(adapter, stored: stored, Moment())
      return total(
        input.outputs(model, .float64) { run in
          run.pass = Pass(now: Moment(), rows: run.pass.rows, sites: model.sites)
          run.attachment = attachment
        })
    }
  }

  /// dyᵀ·x of the observed pairs is the gradient of the weight.
  @Test(arguments: cases) func observedPairsMakeTheWeightGradients(_ test: EncoderCase) throws {
    let (model, input) = (try test.model(), try EncoderInput(test))
    var sums: [SiteID: Tensor] = [:]
    var seen: [SiteID] = []
    total(
      input.outputs(model, .float64) { run in
        run.observeInput = { id, _ in seen.append(id) }
        run.observe = { id, x, dy in
          let product = dy.transposed.multiplied(by: x)
          sums[id] = sums[id].map { $0 + product } ?? product
        }
      }
    ).backward()
    #expect(Set(seen) == Set(model.sites.map(\.id)) && seen.count == model.sites.count)
    for site in model.sites {
      let name = site.id.path + ".weight"
      let leaf = model.parameter(name).converted(to: .float64).tracked()
      total(input.outputs(model, .float64) { $0.trained = [name: leaf] }).backward()
      #expect((try #require(sums[site.id]) - (try #require(leaf.gradient))).largestMagnitude < 1e-9, "\(site.id)")
    }
  }

  @Test func dropoutIsForTrainingAndKeyed() throws {
    let scratch = try Scratch()
    for name in ["bert", "roberta", "vit"] {
      let test = EncoderCase(name: name)
      let config = try test.config.replacing("_dropout_prob\": 0.0", with: "_dropout_prob\": 0.2")
      try scratch.model(config: config, tensors(try test.weights))
      let (model, input) = (try ModelLoader.open(scratch.path), try EncoderInput(test))
      func logits(_ now: Moment) throws -> [Float] {
        try #require(
          input.outputs(model) { $0.pass = Pass(now: now, rows: $0.pass.rows, sites: []) }["logits"]
        ).floats
      }
      let quiet = try logits(Moment())
      let first = try logits(Moment(mode: .training, seed: 1, step: 4))
      #expect(first == (try logits(Moment(mode: .training, seed: 1, step: 4))))
      #expect(largestDifference(first, quiet) > 1e-3)
      #expect(largestDifference(first, try logits(Moment(mode: .training, seed: 1, step: 5))) > 1e-3)
    }
  }
}
