import AdapterFiles
import Catalog
import Engine
import Files
import Models
import PEFTKernel
import Registry
import Testing

@testable import Training

/// Tensors of the base that are trained beside an adapter: chosen by the run file, held by the adapter's files.
@Suite struct TrainedBaseTests {
  private func session(_ keys: String, _ scratch: RunTests.Scratch, family: String = "gpt2", name: String = "a") throws
    -> RunSession
  {
    let folder = "\(ParityTests.runs)/\(family)-tiny"
    let path = "\(scratch.path)/\(name).yaml"
    try WholeFile.write(
      """
      base_model: \(folder)/model
      \(keys)
      data: { tokens: \(folder)/lora/batches.safetensors }
      optimizer: { name: adamw, lr: 1e-2 }
      steps: 3
      batch_size: 2
      output_dir: \(scratch.path)/\(name)
      """, to: path)
    let registry = try Catalog.registry()
    return try RunSession(
      RunFile.load(path, registry: registry, sites: { model, _ in try ModelLoader.load(model).adaptable }), registry: registry)
  }

  @Test(
    "what is named moves, lies in the adapter's files, and is there when they are read; the rest of the base stays",
    arguments: [
      ("method: lora\ntarget_modules: [c_attn]\nbias: all", ".bias", 0),
      ("method: lora\ntarget_modules: [c_attn]\nbias: lora_only", "attn.c_attn.bias", 0),
      ("method: { use: lora, trainable: [factor-a, factor-b, base.biases] }\ntarget_modules: [c_attn]", ".bias", 0),
      ("method: lora\ntarget_modules: [c_attn]\nmodules_to_save: [ln_f, lm_head]", "", 3),
      ("method: { use: lora, trainable: [factor-b, 'base:ln_f'] }\ntarget_modules: [c_attn]", "", 2),
    ])
  func moves(_ keys: String, _ ending: String, _ count: Int) async throws {
    let scratch = try RunTests.Scratch()
    let session = try session(keys, scratch)
    let model = session.model
    let outcome = try await TrainingRun(session).run()
    #expect(outcome.modelPath == nil)
    let expected = count > 0 ? count : model.parameters.count { $0.name.hasSuffix(ending) }
    #expect(outcome.adapter.trained.count == expected && expected > 0)
    for (name, value) in outcome.adapter.trained { #expect(value.floats != model.values(of: name).floats, "\(name)") }
    let read = try AdapterReader.read(try #require(outcome.adapterPath), for: model, registry: session.registry)
    #expect(read.adapter.trained.mapValues(\.floats) == outcome.adapter.trained.mapValues(\.floats))
    #expect(read.entry == session.entry)
    // The model as it was opened has not moved, and the adapter counts what is trained.
    let numbers = outcome.adapter.trained.values.reduce(0) { $0 + $1.count }
    #expect(outcome.trainable == numbers + outcome.adapter.trainable.reduce(0) { $0 + $1.count })
    // A run that goes on from it has the same tensors to train.
    let text = "init_adapter: \(try #require(outcome.adapterPath))"
    let second = try await TrainingRun(self.session(text, scratch, name: "b")).run()
    #expect(Set(second.adapter.trained.keys) == Set(outcome.adapter.trained.keys))
    let names = try SafetensorsFile(scratch.path + "/b/adapter/adapter_model.safetensors").tensors.map(\.name)
    #expect(names == (try SafetensorsFile(scratch.path + "/a/adapter/adapter_model.safetensors").tensors.map(\.name)))
  }

  @Test("a table that moves without the head that it is leaves the head as it was")
  func tied() async throws {
    let scratch = try RunTests.Scratch()
    let session = try session("method: lora\ntarget_modules: [c_attn]\nmodules_to_save: [wte]", scratch)
    let outcome = try await TrainingRun(session).run()
    let trained = outcome.adapter.trained
    #expect(Set(trained.keys) == ["transformer.wte.weight", "lm_head.weight"])
    let table = session.model.parameter("transformer.wte.weight")
    #expect(trained["lm_head.weight"]?.floats == table.floats)
    #expect(trained["transformer.wte.weight"]?.floats != table.floats)
    let names = try SafetensorsFile(scratch.path + "/a/adapter/adapter_model.safetensors").tensors.map(\.name)
    #expect(names.contains("base_model.model.transformer.wte.weight") && !names.contains { $0.contains("lm_head") })
  }

  @Test(
    "what cannot be is told with its place",
    arguments: [
      (
        "method: lora\nmodules_to_save: [nothing]",
        "a.yaml:3:18: modules_to_save: no module of this gpt2 model ends with `nothing`"
      ),
      (
        "method: lora\ntarget_modules: [c_attn]\nmodules_to_save: [_attn]",
        "a.yaml:4:18: modules_to_save: transformer.h.0.attn.c_attn is trained in full and adapted as well; leave it out of one of the two"
      ),
      ("method: full\nbias: all", "a.yaml:3:7: `bias` says nothing here: `full` has no adapter, it trains the whole base"),
      ("method: lora\nbias: some", "a.yaml:3:7: `bias` is the string 'some', but must be one of none, lora_only, all"),
      (
        "method: { use: lora, trainable: [factor-a, base, 'base:x'] }",
        "a.yaml:2:33: `base` in `trainable` is every tensor of the base: name no others of it"
      ),
      (
        "method: dora\ntarget_modules: [wte]",
        "this method adapts linear maps only, but transformer.wte is an embedding table; leave it out of the targets"
      ),
    ])
  func refused(_ keys: String, _ said: String) throws {
    let scratch = try RunTests.Scratch()
    let error = #expect(throws: ConfigurationErrors.self) { try session(keys, scratch) }
    let heard = "\(try #require(error))"
    #expect(heard.contains(said), "\(heard)")
  }

  @Test("a module that is trained in full is not adapted, whatever chooses sites")
  func keptOff() throws {
    let scratch = try RunTests.Scratch()
    let session = try session("method: lora\ntarget_modules: all-linear\nmodules_to_save: [mlp.c_proj, h.1.attn]", scratch)
    #expect(
      !session.sites.isEmpty && !session.sites.contains { $0.id.path.hasSuffix("mlp.c_proj") || $0.id.path.contains("h.1.attn") })
  }
}
