import Engine
import Models
import PEFTKernel
import Testing

/// Adds a vector at every site; the mean of the input's rows on top, where it looks at the whole text.
private struct Shift: Projection {
  var looksAtText: Bool

  func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    sites.map { TensorSpec(TensorKey("shift", $0.id), [$0.outputs], .bias, fill: .normal(deviation: 0.2)) }
  }

  func change(at site: Site, _ prepared: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    if looksAtText { throw Refusal("depends on the input") }
    return WeightChange(bias: prepared["shift", site.id])
  }

  func output(_ call: SiteCall, _ prepared: Tensors) -> Tensor {
    let y = call.baseOutput.addingRow(prepared["shift", call.site.id])
    guard looksAtText else { return y }
    let mean = call.input.values.reduce(0, +) / Double(call.input.rows)
    return y.addingRow(Tensor(repeating: 0.05 * mean, shape: [y.columns], y.scalar))
  }
}

@Suite struct AttachmentTests {
  private func attachment(_ model: any LanguageModel, looksAtText: Bool, leaves: Bool = false) throws -> PEFTKernel.Attachment {
    let method = Assembly(
      projection: Shift(looksAtText: looksAtText), initialization: FillStart(), trainable: TrainableSubset(roles: ["bias"]))
    let layout = try Adapter.layout(method, over: model.sites)
    let values = layout.filled(Moment(seed: 1))
    let adapter = try Adapter(method, sites: model.sites, layout: layout, tensors: values, on: Bases { model.base($0) })
    return PEFTKernel.Attachment(adapter, stored: leaves ? Tensors(values.values.mapValues { $0.tracked() }) : values, Moment())
  }

  @Test(arguments: Fixture.all, [false, true])
  func generationFollowsTheAdapter(_ fixture: Fixture, _ looksAtText: Bool) throws {
    let model = try fixture.model()
    let attachment = try attachment(model, looksAtText: looksAtText)
    // Hot: a model that scales its embeddings and shares them with the head else repeats its last token.
    let sampling = Sampling(temperature: 3, seed: 1)
    func next(_ ids: [Int32]) -> Int32 {
      let pass = Pass(now: Moment(), rows: RowLayout(lengths: [ids.count]), sites: model.sites)
      let run = ModelRun(pass: pass, attachment: attachment)
      let hidden = model.hidden(ids, run)
      // The last row alone: what looks at the text does so at the head as well.
      return sampling.choose(model.logits(hidden.slice(rows: ids.count - 1..<ids.count), run).floats, index: ids.count - 3)
    }
    var expected: [Int32] = [7, 19, 4]
    while expected.count < 15 { expected.append(next(expected)) }
    let generator = try TokenGenerator(model, prompt: [7, 19, 4], maximumTokens: 12, sampling: sampling, attachment: attachment)
    #expect(Array(IteratorSequence(generator.makeIterator())) == Array(expected[3...]))
    let plain = try TokenGenerator(model, prompt: [7, 19, 4], maximumTokens: 12, sampling: sampling)
    #expect(Array(IteratorSequence(plain.makeIterator())) != Array(expected[3...]))
  }

  /// Layers below the lowest adapted site keep nothing for the way back.
  @Test func whatLiesBelowTheLowestSiteIsForgotten() throws {
    let scratch = try Scratch()
    try scratch.put(
      "config.json",
      """
      {"model_type": "llama", "vocab_size": 16, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 8,
       "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 256}
      """)
    let model = try ModelLoader.fresh(config: scratch.path, seed: 1)
    let method = Assembly(
      projection: Shift(looksAtText: false), initialization: FillStart(), trainable: TrainableSubset(roles: ["bias"]))
    let ids = (0..<256).map { Int32($0 % 16) }
    func peak(adapting layer: Int) throws -> Int {
      let sites = model.sites.filter { $0.layer == layer }
      let layout = try Adapter.layout(method, over: sites)
      let adapter = try Adapter(
        method, sites: sites, layout: layout, tensors: layout.filled(Moment(seed: 1)), on: Bases { model.base($0) })
      let leaves = Tensors(adapter.tensors.values.mapValues { $0.tracked() })
      let pass = Pass(now: Moment(), rows: RowLayout(lengths: [256]), sites: sites)
      let run = ModelRun(pass: pass, attachment: PEFTKernel.Attachment(adapter, stored: leaves, Moment()))
      return MemoryMeter.measure { model.loss(ids, labels: ids, scale: 1, run) }.peak
    }
    let (last, first) = (try peak(adapting: 7), try peak(adapting: 0))
    #expect(3 * last < first, "\(last) bytes with an adapter at the top, \(first) with one at the bottom")
  }

  /// Every site is reached, the head too, and only what is attached learns.
  @Test(arguments: Fixture.all) func everySiteLearns(_ fixture: Fixture) throws {
    let (model, reference) = (try fixture.model(), try Reference(fixture))
    let attachment = try attachment(model, looksAtText: false, leaves: true)
    var run = reference.run()
    run.attachment = attachment
    model.loss(reference.ids, labels: reference.labels, scale: 1, run).backward()
    for site in model.sites {
      let gradient = attachment.prepared["shift", site.id].gradient
      #expect((gradient?.largestMagnitude ?? 0) > 0, "\(site.id)")
    }
  }
}
