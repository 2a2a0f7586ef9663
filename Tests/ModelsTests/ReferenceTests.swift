import Engine
import Files
import Models
import PEFTKernel
import Testing

@Suite struct ReferenceTests {
  @Test(arguments: Fixture.all) func logitsAndLossAreThoseOfTheReference(_ fixture: Fixture) throws {
    let (model, reference) = (try fixture.model(), try Reference(fixture))
    let run = reference.run()
    let hidden = model.hidden(reference.ids, run)
    #expect(hidden.shape == [22, 48])
    let difference = largestDifference(model.logits(hidden, run).floats, reference.logits)
    report(difference, of: "\(fixture.family) logits")
    #expect(difference < 2e-5)
    let loss = model.loss(reference.ids, labels: reference.labels, scale: 1 / Double(reference.labelled), run)
    #expect(abs(loss.item - reference.loss) < 2e-5)
  }

  @Test(arguments: Fixture.all) func doubleAgrees(_ fixture: Fixture) throws {
    let (model, reference) = (try fixture.model(), try Reference(fixture))
    let run = reference.run(.float64)
    let logits = model.logits(model.hidden(reference.ids, run), run)
    #expect(logits.scalar == .float64)
    #expect(largestDifference(logits.floats, reference.logits) < 2e-5)
  }

  @Test(arguments: Fixture.all) func packedSequencesAreSeparateOnes(_ fixture: Fixture) throws {
    let model = try fixture.model()
    let ids: [Int32] = [5, 9, 80, 3, 17, 44, 2, 96, 31, 7, 7, 60]
    let packed = logits(model, ids, lengths: [5, 1, 6])
    let alone =
      logits(model, Array(ids[0..<5]), lengths: [5]) + logits(model, [44], lengths: [1])
      + logits(model, Array(ids[6...]), lengths: [6])
    #expect(largestDifference(packed, alone) < 1e-5)
  }

  @Test func parametersAreTheFileTensors() throws {
    for fixture in Fixture.all {
      let (model, file) = (try fixture.model(), try fixture.weights)
      #expect(Set(model.parameters.map(\.name)) == Set(file.tensors.map(\.name)))
      for parameter in model.parameters {
        let values = model.parameter(parameter.name)
        #expect(values.shape == file.entry(parameter.name)?.shape && values.shape == parameter.shape)
        #expect(try values.floats == file.floats(of: parameter.name))
      }
    }
  }

  @Test func sitesStandInForwardOrder() throws {
    let llama = try Fixture.llama.model()
    #expect(llama.sites.count == 15)
    #expect(
      llama.sites.prefix(7).map(\.id.path) == [
        "q_proj", "k_proj", "v_proj", "o_proj",
      ].map { "model.layers.0.self_attn.\($0)" } + ["gate_proj", "up_proj", "down_proj"].map { "model.layers.0.mlp.\($0)" })
    #expect(
      llama.sites.suffix(8).map(\.use) == [
        "attention.query", "attention.key", "attention.value", "attention.output", "mlp.gate", "mlp.up", "mlp.down", "head",
      ])
    // Adapters of the model without its head leave the prefix out.
    #expect(
      llama.sites[1]
        == Site(
          id: SiteID("model.layers.0.self_attn.k_proj"), use: "attention.key", outputs: 24, inputs: 48, layer: 0,
          aliases: [SiteID("layers.0.self_attn.k_proj")]))
    let gpt2 = try Fixture.gpt2.model()
    #expect(
      gpt2.sites.map(\.id.path) == (0..<2).flatMap { i in
        ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"].map { "transformer.h.\(i).\($0)" }
      } + ["lm_head"])
    #expect(gpt2.sites.prefix(4).map(\.use) == ["attention.qkv", "attention.output", "mlp.up", "mlp.down"])
    #expect(
      gpt2.sites[2]
        == Site(
          id: SiteID("transformer.h.0.mlp.c_fc"), use: "mlp.up", outputs: 192, inputs: 48, layer: 0, hasBias: true,
          aliases: [SiteID("h.0.mlp.c_fc")]))
  }

  @Test func lengthsAndIdsAreChecked() throws {
    let model = try Fixture.gpt2.model()
    try model.check(length: 32)
    try model.check(ids: [0, 96])
    let long = #expect(throws: FileError.self) { try model.check(length: 33) }
    #expect(
      long?.description.hasSuffix("a sequence of 33 tokens exceeds the model's 32 positions; shorten it, or lower max_seq_len")
        == true)
    let id = #expect(throws: FileError.self) { try model.check(ids: [3, 97]) }
    #expect(
      id?.description.hasSuffix("token id 97 is not in the model's vocabulary of 97; use the model's own tokenizer") == true)
  }
}
