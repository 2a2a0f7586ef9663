import Files
import JSON
import Testing

@testable import PEFTCLI

/// Adapters of encoders on the command line: the base is opened with the head that the adapter has.
@Suite struct EncoderCommandTests {
  private let adapter = "\(Fixtures.tests)/AdapterFilesTests/Fixtures/encoders/"

  @Test func labelsAreShown() async throws {
    let scratch = try Scratch()
    let shown = await scratch.peft("inspect", adapter + "bert-classes")
    #expect(shown.printed.contains("LABEL_0, LABEL_1, LABEL_2"), "\(shown.printed)")
    #expect(shown.printed.contains("SEQ_CLS"))
    let model = try await scratch.peft("inspect", Fixtures.model("vit"), "--json").json()
    #expect(model["facts"]?["labels"]?.array?.count == 5)
    #expect(model["facts"]?["problem_type"] == "single_label_classification")
  }

  /// What a directory can be run for, or why not.
  @Test func usesAreShown() async throws {
    let scratch = try Scratch()
    for (family, tasks) in [
      ("llama", "causal_lm"), ("bert", "sequence_classification, sentence_embedding"), ("vit", "image_classification"),
      ("clip", "sentence_embedding, image_text_classification"),
    ] {
      let shown = await scratch.peft("inspect", Fixtures.model(family)).printed
      #expect(shown.split(separator: "\n").contains { $0.hasPrefix("  tasks ") && $0.hasSuffix(" \(tasks)") }, "\(shown)")
    }
    _ = try scratch.put("other/config.json", "{\"model_type\": \"phi3\"}")
    try scratch.link("other/model.safetensors", to: Fixtures.model("llama") + "/model.safetensors")
    let other = try await scratch.peft("inspect", "@other", "--json").json()
    #expect(other["facts"]?["refused"]?.string?.contains("model_type: \"phi3\"") == true)
    #expect(other["facts"]?["tasks"] == nil)
  }

  @Test(arguments: ["bert bert-classes", "vit vit-classes", "clip clip-towers", "roberta roberta-classes"])
  func mergesAreChecked(_ names: String) async throws {
    let scratch = try Scratch()
    let parts = names.split(separator: " ").map(String.init)
    let both = ["--model", Fixtures.model(parts[0]), "--adapter", adapter + parts[1]]
    let merged = try await scratch.peft(["merge", "--out", "@merged", "--json"] + both).json()
    #expect((merged["logits"]?["largest_difference"]?.double ?? 1) < 2e-5)
    #expect(merged["logits"]?["on"]?.string == "rows of random inputs")
    #expect((merged["sites"]?.array?.count ?? 0) > 0)
    let text = await scratch.peft(["merge", "--out", "@again", "--text", "a"] + both)
    #expect(text.status != .ok)
  }

  @Test func importsKeepTheHead() async throws {
    let scratch = try Scratch()
    let both = ["--model", Fixtures.model("bert"), "--adapter", adapter + "bert-classes"]
    let imported = try await scratch.peft(["import", "--out", "@own", "--json"] + both).json()
    #expect(imported["labels"] == ["LABEL_0", "LABEL_1", "LABEL_2"])
    let shown = try await scratch.peft("inspect", "@own", "--json").json()
    #expect(shown["facts"]?["labels"]?.array?.count == 3)
    let own = ["--model", Fixtures.model("bert"), "--adapter", "@own"]
    #expect(await scratch.peft(["merge", "--out", "@merged"] + own).status == .ok)
    let sum = ["combine", "--out", "@sum", "--model", Fixtures.model("bert"), "--adapter", "a=@own", "--adapter", "b=@own"]
    let summed = await scratch.peft(sum.map { $0.replacing("=@", with: "=" + scratch.path + "/") })
    #expect(summed.status == .ok, "\(summed.notes)")
    for format in ["mlx", "gguf"] {
      let refused = await scratch.peft(["export", "--out", "@\(format)", "--format", format] + own)
      #expect(refused.status != .ok && refused.notes.contains("bert models"), "\(refused.notes)")
    }
  }

  @Test func modelsAreWrittenInOtherTypes() async throws {
    let scratch = try Scratch()
    let base = Fixtures.model("encoders/bert-from-tensorflow")
    let outcome = await scratch.peft("merge", "--model", base, "--dtype", "bf16", "--out", "@rounded")
    #expect(outcome.status == .ok && outcome.notes.contains("left out 'cls.predictions.bias'"), "\(outcome.notes)")
  }
}
