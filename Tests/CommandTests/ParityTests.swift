import Files
import JSON
import PEFTCLI
import Testing

/// Runs of Hugging Face PEFT, repeated by `train` from the same start on the same batches.
@Suite struct ParityTests {
  @Test(arguments: ["llama-tiny/lora", "llama-tiny/rslora", "gpt2-tiny/lora"])
  func adapterRunsAreRepeated(_ name: String) async throws {
    let scratch = try Scratch()
    let run = Fixtures.run(name)
    let model = Folder.split(run).folder + "/model"
    try await train(scratch, model: model, start: "init_adapter: \(run)/adapter_init", run)
    let notes = await scratch.peft(
      "eval", "--model", model, "--adapter", "\(run)/adapter_init", "--data", "\(run)/batches.safetensors")
    #expect(notes.notes.contains("carry no fingerprint of the base"))
    try expectTensors(
      scratch["out/adapter/adapter_model.safetensors"], run + "/adapter_init/adapter_model.safetensors",
      run + "/adapter_final/adapter_model.safetensors")
    #expect(Folder.isFile(scratch["out/adapter/adapter_config.json"]))
  }

  @Test func fullFineTuningIsRepeated() async throws {
    let scratch = try Scratch()
    let run = Fixtures.run("llama-tiny/full")
    try await train(scratch, model: run + "/adapter_init", start: "method: full", run)
    try expectTensors(
      scratch["out/model/model.safetensors"], run + "/adapter_init/model.safetensors", run + "/adapter_final/model.safetensors")
    let outcome = await scratch.peft("inspect", "@out/model")
    #expect(outcome.status == .ok)
  }

  private func train(_ scratch: Scratch, model: String, start: String, _ run: String) async throws {
    let file = try scratch.put(
      "run.yaml",
      """
      base_model: \(model)
      \(start)
      data: { tokens: \(run)/batches.safetensors }
      optimizer: { name: adamw, lr: 5e-3, weight_decay: 0.0, schedule: constant }
      steps: 10
      batch_size: 2
      clip_grad_norm: null
      output_dir: \(scratch["out"])
      """)
    let outcome = await scratch.peft("train", file, "--quiet")
    #expect(outcome.status == .ok && outcome.notes.isEmpty && outcome.printed.isEmpty, "\(outcome.notes)")
    let lines = try metrics(scratch["out"])
    let expected = try TextFile.readJSON(run + "/run.json")["losses"]?.array?.compactMap(\.double) ?? []
    try #require(lines.count == 10 && expected.count == 10)
    for (step, (line, loss)) in zip(lines, expected).enumerated() {
      let ours = try #require(line["loss"]?.double)
      #expect(abs(ours - loss) <= 5e-6 * abs(loss), "step \(step + 1)")
      #expect(line["step"]?.int == step + 1 && line["lr"]?.double == 5e-3)
      #expect(line["seconds"]?.double ?? -1 > 0 && line["tokens_per_second"]?.double ?? -1 > 0)
    }
  }

  private func expectTensors(_ ours: String, _ start: String, _ end: String) throws {
    let (a, b, c) = (try SafetensorsFile(ours), try SafetensorsFile(start), try SafetensorsFile(end))
    #expect(Set(a.tensors.map(\.name)) == Set(b.tensors.map(\.name)))
    for entry in c.tensors {
      #expect(a.entry(entry.name)?.shape == entry.shape)
      let (x, x0, x1) = (try a.doubles(of: entry.name), try b.doubles(of: entry.name), try c.doubles(of: entry.name))
      func distance(_ u: [Double], _ v: [Double]) -> Double { zip(u, v).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } }
      #expect(distance(x, x1) <= 4e-6 * distance(x1, x0), "\(entry.name)")
    }
  }
}
