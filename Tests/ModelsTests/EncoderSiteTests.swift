import Files
import Models
import PEFTKernel
import Testing

/// What places encoders have for adapters, and what they are called.
@Suite struct EncoderSiteTests {
  private static let uses = ["attention.query", "attention.key", "attention.value", "attention.output", "mlp.up", "mlp.down"]

  private func sites(_ name: String, _ head: HeadChoice = .stored) throws -> [Site] {
    try EncoderCase(name: name).model(head).sites
  }

  @Test func sitesStandInForwardOrder() throws {
    let bert = try sites("bert")
    #expect(bert.map(\.use) == Self.uses + Self.uses + ["pooler", "head"])
    #expect(
      bert.prefix(6).map(\.id.path)
        == [
          "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense", "intermediate.dense",
          "output.dense",
        ].map { "bert.encoder.layer.0.\($0)" })
    #expect(bert.suffix(2).map(\.id.path) == ["bert.pooler.dense", "classifier"])
    #expect(bert.map(\.layer) == [Int?](repeating: 0, count: 6) + [Int?](repeating: 1, count: 6) + [nil, nil])
    #expect((bert[4].outputs, bert[4].inputs, bert[4].hasBias) == (80, 48, true))
    #expect((bert[13].outputs, bert[13].inputs, bert[13].hasBias) == (5, 48, true))

    let roberta = try sites("roberta")
    #expect(roberta.map(\.use) == Self.uses + Self.uses + ["head", "head"])
    #expect(roberta.suffix(2).map(\.id.path) == ["classifier.dense", "classifier.out_proj"])

    let clip = try sites("clip")
    #expect(clip.map(\.use) == Self.uses + Self.uses + Self.uses + Self.uses + ["projection", "projection"])
    #expect(clip[0].id.path == "text_model.encoder.layers.0.self_attn.q_proj")
    #expect(clip[21].id.path == "vision_model.encoder.layers.1.self_attn.out_proj")
    #expect(clip.suffix(2).map(\.id.path) == ["visual_projection", "text_projection"])
    #expect(clip.suffix(2).allSatisfy { !$0.hasBias && $0.outputs == 24 })
    // Each encoder has modules of the other's names behind its prefix.
    #expect(clip.allSatisfy { $0.paths == [$0.id.path] })
  }

  @Test func vitAnswersToBothSpellings() throws {
    let vit = try sites("vit")
    let module = [
      "attention.q_proj", "attention.k_proj", "attention.v_proj", "attention.o_proj", "mlp.fc1", "mlp.fc2",
    ]
    let stored = [
      "attention.attention.query", "attention.attention.key", "attention.attention.value", "attention.output.dense",
      "intermediate.dense", "output.dense",
    ]
    for (index, site) in vit.dropLast().enumerated() {
      let (old, new) = ("encoder.layer.\(index / 6).\(stored[index % 6])", "layers.\(index / 6).\(module[index % 6])")
      #expect(site.id.path == "vit." + old)
      // What PEFT writes for it today.
      #expect(site.modulePath.path == "vit." + new)
      #expect(Set(site.paths) == ["vit." + old, "vit." + new, old, new])
    }
    #expect(vit.last?.paths == ["classifier"])
    let bare = try sites("encoders/vit-pooled")
    #expect(bare[0].id.path == "vit.encoder.layer.0.attention.attention.query")
    #expect(bare[0].modulePath.path == "layers.0.attention.q_proj")
    #expect(bare.last?.modulePath.path == "pooler.dense" && bare.last?.use == "pooler")
    #expect((bare[0].hasBias, bare[3].hasBias) == (false, true))
  }

  @Test func bareModelsHaveNoPrefixInTheLibraries() throws {
    let bare = try sites("encoders/bert-without-pooler")
    #expect(bare[0].id.path == "bert.encoder.layer.0.attention.self.query")
    #expect(bare[0].modulePath.path == "encoder.layer.0.attention.self.query")
    let headed = try sites("encoders/bert-of-many-labels")
    #expect(headed[0].modulePath == headed[0].id)
    #expect(headed[0].paths.contains("encoder.layer.0.attention.self.query"))
    #expect(try sites("encoders/bert-of-many-labels", .none)[0].modulePath == bare[0].modulePath)
  }

  @Test func tensorsAreCalledAsTheirModules() throws {
    func names(_ name: String, _ head: HeadChoice, _ parameter: String) throws -> [String] {
      let model = try EncoderCase(name: name).model(head)
      return try #require(model.parameters.first { $0.name == parameter }).names
    }
    let old = "vit.encoder.layer.1.layernorm_before.bias"
    #expect(
      Set(try names("vit", .stored, old))
        == [old, "vit.layers.1.layernorm_before.bias", "layers.1.layernorm_before.bias", String(old.dropFirst(4))])
    #expect(try names("vit", .stored, old)[0] == "vit.layers.1.layernorm_before.bias")
    #expect(try names("vit", .none, old)[0] == "layers.1.layernorm_before.bias")
    #expect(try names("vit", .none, "vit.embeddings.cls_token") == ["embeddings.cls_token", "vit.embeddings.cls_token"])
    #expect(try names("bert", .stored, "bert.pooler.dense.weight")[0] == "bert.pooler.dense.weight")
    #expect(try names("bert", .none, "bert.pooler.dense.weight")[0] == "pooler.dense.weight")
    #expect(try names("clip", .stored, "logit_scale") == ["logit_scale"])
    #expect(try names("llama", .stored, "model.norm.weight") == ["model.norm.weight", "norm.weight"])
    #expect(try names("llama", .stored, "lm_head.weight") == ["lm_head.weight"])
  }

  @Test func tablesAreSitesWhereTheyAreModules() throws {
    func tables(_ name: String) throws -> [Site] { try EncoderCase(name: name).model().tables }
    let bert = try tables("bert")
    #expect(bert.map(\.use) == ["embedding.token", "embedding.position", "embedding.type"])
    #expect(bert.map(\.id.path) == ["word", "position", "token_type"].map { "bert.embeddings.\($0)_embeddings" })
    #expect(bert.allSatisfy { $0.kind == .embedding && $0.outputs == 48 })
    #expect(bert.map(\.inputs) == [97, 40, 2])
    #expect(try tables("vit").isEmpty)
    #expect(
      try tables("clip").map(\.id.path) == [
        "text_model.embeddings.token_embedding", "text_model.embeddings.position_embedding",
        "vision_model.embeddings.position_embedding",
      ])
  }

  @Test func whatIsDrawnForAHeadIsNamed() throws {
    func drawn(_ name: String, _ head: HeadChoice) throws -> [String] { try EncoderCase(name: name).model(head).drawnModules }
    let labels = HeadChoice.classes(ClassLabels(names: ["a", "b"]), seed: 1)
    #expect(try drawn("bert", .stored).isEmpty && drawn("bert", .none).isEmpty)
    #expect(try drawn("bert", labels) == ["classifier"])
    #expect(try drawn("roberta", labels) == ["classifier"])
    #expect(try drawn("vit", labels) == ["classifier"])
    #expect(try drawn("encoders/bert-without-pooler", labels) == ["pooler", "classifier"])
    #expect(try ModelLoader.openFresh(config: EncoderCase(name: "bert").path, seed: 2, head: labels).drawnModules.isEmpty)
  }

  @Test func widthsOfHeadsAreTheConfigs() throws {
    let vit = try sites("encoders/vit-narrow-heads")
    #expect((vit[0].outputs, vit[0].inputs, vit[3].outputs, vit[3].inputs) == (15, 22, 22, 15))
  }
}
