import AdapterFiles
import Catalog
import Engine
import Files
import Foundation
import JSON
import Models
import PEFTKernel
import Registry
import Testing

@testable import Training

/// Whole runs of the reference implementation, repeated from the same start on the same batches.
@Suite struct ParityTests {
  static let runs = Bundle.module.resourcePath! + "/Fixtures/runs"

  @Test(arguments: ["llama-tiny/lora", "llama-tiny/rslora", "gpt2-tiny/lora"])
  func adapterRunsAreRepeated(_ name: String) async throws {
    let folder = Self.runs + "/" + name
    let model = Self.runs + "/" + name.split(separator: "/")[0] + "/model"
    let output = try await run(folder, base: model, "init_adapter: \(folder)/adapter_init")
    defer { try? FileManager.default.removeItem(atPath: output) }
    try expectLosses(of: output, equal: folder)
    try expectTensors(
      output + "/adapter/adapter_model.safetensors", folder + "/adapter_init/adapter_model.safetensors",
      folder + "/adapter_final/adapter_model.safetensors")
  }

  @Test func fullFineTuningIsRepeated() async throws {
    let folder = Self.runs + "/llama-tiny/full"
    let output = try await run(folder, base: folder + "/adapter_init", "method: full")
    defer { try? FileManager.default.removeItem(atPath: output) }
    try expectLosses(of: output, equal: folder)
    try expectTensors(
      output + "/model/model.safetensors", folder + "/adapter_init/model.safetensors",
      folder + "/adapter_final/model.safetensors")
  }

  /// Repeats the reference run in `folder` on `base`, from `start`; gives the run's own folder.
  func run(_ folder: String, base: String, _ start: String) async throws -> String {
    let output = NSTemporaryDirectory() + "/peft-parity-\(UUID().uuidString)"
    try Folder.create(output)
    let path = output + "/run.yaml"
    let text = """
      base_model: \(base)
      \(start)
      data: { tokens: \(folder)/batches.safetensors }
      optimizer: { name: adamw, lr: 5e-3, weight_decay: 0.0, schedule: constant }
      steps: 10
      batch_size: 2
      clip_grad_norm: null
      output_dir: \(output)
      """
    try WholeFile.write(text, to: path)
    let registry = try Catalog.registry()
    let session = try RunSession(RunFile.load(path, registry: registry), registry: registry)
    _ = try await TrainingRun(session).run()
    return output
  }

  func expectLosses(of output: String, equal reference: String) throws {
    let expected = try TextFile.readJSON(reference + "/run.json")["losses"]?.array?.compactMap(\.double) ?? []
    let lines = try TextFile.read(output + "/metrics.jsonl").split(separator: "\n").map { try JSON(parsing: String($0)) }
    let losses = lines.compactMap { $0["loss"]?.double }
    #expect(losses.count == expected.count && expected.count >= 10)
    for (ours, theirs) in zip(losses, expected) { #expect(abs(ours - theirs) <= 5e-6 * abs(theirs)) }
  }

  func expectTensors(_ ours: String, _ start: String, _ end: String) throws {
    let (a, b, c) = (try SafetensorsFile(ours), try SafetensorsFile(start), try SafetensorsFile(end))
    #expect(Set(a.tensors.map(\.name)) == Set(c.tensors.map(\.name)))
    for entry in c.tensors {
      #expect(a.entry(entry.name)?.shape == entry.shape)
      let (x, x0, x1) = (
        try a.doubles(of: entry.name), try b.doubles(of: entry.name), try c.doubles(of: entry.name)
      )
      func distance(_ u: [Double], _ v: [Double]) -> Double {
        zip(u, v).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
      }
      #expect(distance(x, x1) <= 2e-3 * distance(x1, x0), "\(entry.name)")
    }
  }
}
