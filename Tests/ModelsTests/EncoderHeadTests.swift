import Engine
import Files
import JSON
import Models
import PEFTKernel
import Testing

/// Heads that files have, that they lack, and that are not wanted.
@Suite struct EncoderHeadTests {
  private func classifier(_ name: String, _ head: HeadChoice = .stored) throws -> any Classifier {
    try #require(try EncoderCase(name: name).model(head) as? any Classifier)
  }

  @Test func labelsAreTheConfigs() throws {
    #expect(
      try classifier("encoders/bert-of-many-labels").labels
        == ClassLabels(names: ["quiet", "loud", "both"], problem: .multiLabel))
    #expect(try classifier("encoders/roberta-regression").labels == ClassLabels(names: ["LABEL_0"], problem: .regression))
    #expect(try classifier("vit").labels == ClassLabels(names: (0..<5).map { "LABEL_\($0)" }, problem: .singleLabel))
    #expect(try classifier("encoders/vit-pooled").labels == nil)
    #expect(try classifier("bert", .none).labels == nil)
  }

  @Test(arguments: [
    ("encoders/bert-from-tensorflow", ["classifier"]), ("encoders/bert-pooled", ["classifier"]),
    ("encoders/bert-without-pooler", ["bert.pooler.dense", "classifier"]),
    ("encoders/roberta-masked", ["classifier.dense", "classifier.out_proj"]), ("encoders/vit-pooled", ["classifier"]),
    ("vit", ["classifier"]),
  ])
  func aHeadThatIsLackingIsDrawn(_ name: String, _ fresh: [String]) throws {
    let labels = ClassLabels(names: ["a", "b", "c", "d"])
    let model = try classifier(name, .classes(labels, seed: 3))
    #expect(model.labels == labels)
    #expect(Set(model.freshParameters) == Set(fresh.flatMap { [$0 + ".weight", $0 + ".bias"] }))
    for path in fresh {
      let weight = model.parameter(path + ".weight")
      let deviation = (weight.sumOfSquares / Double(weight.count)).squareRoot()
      #expect(abs(deviation - 0.02) < 0.005, "\(path)")
      #expect(model.parameter(path + ".bias").floats.allSatisfy { $0 == 0 })
    }
    let (same, other) = (
      try classifier(name, .classes(labels, seed: 3)), try classifier(name, .classes(labels, seed: 4))
    )
    let weight = try #require(fresh.last) + ".weight"
    #expect(model.parameter(weight).floats == same.parameter(weight).floats)
    #expect(model.parameter(weight).floats != other.parameter(weight).floats)
    let test = EncoderCase(name: name)
    let logits = try #require(try EncoderInput(test).outputs(model)["logits"])
    #expect(logits.columns == 4 && logits.isFinite)
    // What goes on a disk beside the weights says the same of the head.
    let scratch = try Scratch()
    try scratch.model(
      config: model.configuration.text(),
      model.parameters.map { .init(name: $0.name, shape: $0.shape, floats: model.parameter($0.name).floats) })
    let again = try #require(try ModelLoader.open(scratch.path) as? any Classifier)
    #expect(again.labels == labels && again.freshParameters.isEmpty && again.leftOut.isEmpty)
    #expect(try #require(try EncoderInput(test).outputs(again)["logits"]).floats == logits.floats)
    #expect(again.sites == model.sites)
  }

  @Test func aHeadForTheSameLabelsIsTheFiles() throws {
    let names = ["quiet", "loud", "both"]
    let model = try classifier("encoders/bert-of-many-labels", .classes(ClassLabels(names: names), seed: 1))
    #expect(model.freshParameters.isEmpty && model.leftOut.isEmpty)
    #expect(model.labels?.problem == .singleLabel)
    #expect(model.configuration["problem_type"] == "single_label_classification")
    let other = try classifier("encoders/bert-of-many-labels", .classes(ClassLabels(names: names.reversed()), seed: 1))
    #expect(other.freshParameters == ["classifier.weight", "classifier.bias"])
    #expect(other.leftOut.sorted() == ["classifier.bias", "classifier.weight"])
  }

  @Test func whatWasForPretrainingIsLeftOut() throws {
    let bert = try EncoderCase(name: "encoders/bert-from-tensorflow").model()
    #expect(bert.leftOut.count == 7 && bert.leftOut.allSatisfy { $0.hasPrefix("cls.") })
    #expect(bert.configuration["architectures"] == ["BertModel"])
    let roberta = try EncoderCase(name: "encoders/roberta-masked").model()
    #expect(!roberta.leftOut.isEmpty && roberta.leftOut.allSatisfy { $0.hasPrefix("lm_head.") })
    let vit = try EncoderCase(name: "vit").model(.none)
    #expect(vit.leftOut == ["classifier.bias", "classifier.weight"])
    // A head that does not read the pooler has none below it in the libraries.
    let headed = try EncoderCase(name: "encoders/vit-pooled").model(.classes(ClassLabels(names: ["a", "b"]), seed: 0))
    #expect(headed.leftOut == ["pooler.dense.bias", "pooler.dense.weight"])
    #expect(!headed.sites.contains { $0.use == "pooler" })
    #expect(vit.configuration["architectures"] == ["ViTModel"])
  }

  @Test(arguments: EncoderCase.families) func freshWeightsFollowTheSeed(_ test: EncoderCase) throws {
    let model = try ModelLoader.openFresh(config: test.path, seed: 3)
    let (same, other) = (
      try ModelLoader.openFresh(config: test.path, seed: 3), try ModelLoader.openFresh(config: test.path, seed: 4)
    )
    #expect(Set(model.parameters.map(\.name)) == Set(try test.weights.tensors.map(\.name)))
    #expect(model.freshParameters == model.parameters.map(\.name))
    for parameter in model.parameters {
      let values = model.parameter(parameter.name)
      #expect(values.shape == (try test.weights.entry(parameter.name)?.shape))
      #expect(values.floats == same.parameter(parameter.name).floats)
      let isDrawn = parameter.shape.count > 1 || parameter.name.hasSuffix("class_embedding")
      #expect((values.floats != other.parameter(parameter.name).floats) == isDrawn, "\(parameter.name)")
    }
    let outputs = try EncoderInput(test).outputs(model)
    #expect(!outputs.isEmpty && outputs.values.allSatisfy(\.isFinite))
  }

  /// The scales of CLIP's parts are the library's: tables, projections and the factor of the logits.
  @Test func freshCLIPHasTheScalesOfItsParts() throws {
    let model = try ModelLoader.openFresh(config: EncoderCase(name: "clip").path, seed: 1)
    func deviation(_ name: String) -> Double {
      let values = model.parameter(name)
      return (values.sumOfSquares / Double(values.count)).squareRoot()
    }
    let width = 1 / Double(48).squareRoot()
    let expected = [
      "text_model.embeddings.token_embedding.weight": 0.02, "text_model.encoder.layers.0.self_attn.q_proj.weight": width / 2,
      "text_model.encoder.layers.1.self_attn.out_proj.weight": width,
      "text_model.encoder.layers.0.mlp.fc1.weight": width / 2.0.squareRoot(),
      "vision_model.encoder.layers.0.mlp.fc2.weight": width / 2, "vision_model.embeddings.patch_embedding.weight": 0.02,
      "visual_projection.weight": width,
    ]
    for (name, value) in expected { #expect(abs(deviation(name) / value - 1) < 0.1, "\(name)") }
    #expect(model.parameter("logit_scale").shape.isEmpty && abs(model.parameter("logit_scale").item - 2.6592) < 1e-6)
  }
}
