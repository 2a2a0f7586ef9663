import Engine
import Files
import Models
import PEFTKernel
import Testing

/// Models whose layers are computed twice.
@Suite struct RecomputationTests {
  /// In training, so that gpt2's three kinds of dropout draw.
  private func run(_ reference: Reference, _ activations: Activations, _ trained: [String: Tensor] = [:]) -> ModelRun {
    var run = reference.run(trained: trained)
    run.pass = Pass(now: Moment(mode: .training, seed: 4, step: 2), rows: run.pass.rows, sites: [])
    run.activations = activations
    return run
  }

  @Test(arguments: Fixture.all) func everyTensorHasTheGradientOfOneRun(_ fixture: Fixture) throws {
    let (model, reference) = (try fixture.model(), try Reference(fixture))
    func step(_ activations: Activations) -> (loss: Double, gradients: [String: [Float]?]) {
      let leaves = Dictionary(uniqueKeysWithValues: model.parameters.map { ($0.name, model.parameter($0.name).tracked()) })
      let loss = model.loss(reference.ids, labels: reference.labels, scale: 0.1, run(reference, activations, leaves))
      loss.backward()
      return (loss.item, leaves.mapValues { $0.gradient?.floats })
    }
    let (kept, twice) = (step(.kept), step(.recomputed))
    #expect(twice.loss == kept.loss)
    for (name, gradient) in kept.gradients {
      #expect(gradient != nil && twice.gradients[name] == gradient, "\(name)")
    }
  }

  @Test(arguments: Fixture.all) func whoWatchesSeesEverythingOnce(_ fixture: Fixture) throws {
    let (model, reference) = (try fixture.model(), try Reference(fixture))
    func seen(_ activations: Activations) -> (inputs: [SiteID], pairs: [SiteID], products: [SiteID: [Float]]) {
      var (inputs, pairs, products): ([SiteID], [SiteID], [SiteID: [Float]]) = ([], [], [:])
      var run = run(reference, activations)
      run.observe = { id, x, dy in
        pairs.append(id)
        products[id] = dy.transposed.multiplied(by: x).floats
      }
      run.observeInput = { id, _ in inputs.append(id) }
      model.loss(reference.ids, labels: reference.labels, scale: 1, run).backward()
      return (inputs, pairs, products)
    }
    let (kept, twice) = (seen(.kept), seen(.recomputed))
    #expect(twice.inputs == kept.inputs && twice.pairs == kept.pairs && twice.products == kept.products)
    #expect(Set(kept.pairs) == Set(model.sites.map(\.id)))
  }

  /// Eight layers of one size: what is kept of them is an eighth and their inputs.
  @Test func itTakesLessMemory() throws {
    let scratch = try Scratch()
    try scratch.put(
      "config.json",
      """
      {"model_type": "llama", "vocab_size": 16, "hidden_size": 32, "intermediate_size": 96, "num_hidden_layers": 8,
       "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 512}
      """)
    let model = try ModelLoader.fresh(config: scratch.path, seed: 1)
    let ids = (0..<512).map { Int32($0 % 16) }
    let name = "model.layers.0.self_attn.q_proj.weight"
    func peak(_ activations: Activations) -> Int {
      MemoryMeter.measure {
        var run = ModelRun(pass: Pass(now: Moment(), rows: RowLayout(lengths: [512]), sites: []))
        run.trained = [name: model.parameter(name).tracked()]
        run.activations = activations
        model.loss(ids, labels: ids, scale: 1, run).backward()
      }.peak
    }
    let (kept, twice) = (peak(.kept), peak(.recomputed))
    #expect(3 * twice < kept, "\(twice) bytes where layers are computed twice, \(kept) where not")
  }
}
