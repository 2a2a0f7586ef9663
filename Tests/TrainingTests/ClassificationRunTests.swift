import Files
import Foundation
import JSON
import Testing

@testable import Training

/// A run of sequence classification by Hugging Face PEFT, repeated from its rows of text on: see `Fixtures/objectives/README.md`.
@Suite struct ClassificationRunTests {
  private static let reference = Folder.tidied(Folder.join(#filePath, "../Fixtures/objectives/run"))

  /// The directory of the fixture's model, with its tokenizer.
  private func model(_ scratch: RunTests.Scratch) throws -> String {
    let (folder, weights) = (scratch.path + "/bert", Folder.tidied(Folder.join(#filePath, "../../ModelsTests/Fixtures/bert")))
    try Folder.create(folder)
    let files = [weights + "/config.json", weights + "/model.safetensors", Self.reference + "/tokenizer.json"]
    for file in files { try FileManager.default.copyItem(atPath: file, toPath: Folder.join(folder, Folder.split(file).name)) }
    return folder
  }

  @Test func aRunOfPEFTIsRepeated() async throws {
    let scratch = try RunTests.Scratch()
    let session = try RunTests().session(
      """
      task: sequence_classification
      base_model: \(model(scratch))
      init_adapter: \(Self.reference)/adapter_init
      data:
        train: \(Self.reference)/train.jsonl
        valid: \(Self.reference)/valid.jsonl
        max_seq_len: 12
        shuffle: false
      optimizer: { name: adamw, lr: 5e-3, weight_decay: 0.0, schedule: linear }
      epochs: 2
      batch_size: 4
      """, scratch, "repeated")
    _ = try await TrainingRun(session).run()
    let output = scratch.path + "/repeated"
    let parity = ParityTests()
    try parity.expectLosses(of: output, equal: Self.reference)
    try parity.expectTensors(
      output + "/adapter/adapter_model.safetensors", Self.reference + "/adapter_init/adapter_model.safetensors",
      Self.reference + "/adapter_final/adapter_model.safetensors")

    let expected = try TextFile.readJSON(Self.reference + "/run.json")
    let lines = try TextFile.read(output + "/metrics.jsonl").split(separator: "\n").map { try JSON(parsing: String($0)) }
    let norms = try #require(expected["gradient_norms"]?.array).compactMap(\.double)
    for (ours, theirs) in zip(lines.compactMap { $0["grad_norm"]?.double }, norms) {
      #expect(abs(ours - theirs) <= 1e-4 * theirs)
    }
    let evaluation = try #require(lines.last { $0["eval_loss"] != nil })
    for key in ["eval_loss", "eval_accuracy", "eval_macro_f1"] {
      let (ours, theirs) = (try #require(evaluation[key]?.double), try #require(expected[key]?.double))
      #expect(abs(ours - theirs) <= 1e-4, "\(key)")
    }
  }
}
