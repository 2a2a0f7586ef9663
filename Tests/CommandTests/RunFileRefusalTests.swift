import Files
import PEFTCLI
import Testing

/// Run files that cannot be run: every fault with its place, and nothing written.
@Suite struct RunFileRefusalTests {
  private static let faults: [(KeyValuePairs<String, String>, String)] = [
    (
      ["method: lora": "method: [lora"], "run.yaml:3:5: did not find expected ',' or ']' (while parsing a flow sequence from 2:9)"
    ),
    (["batch_size: 2": "batch_sise: 2"], "run.yaml:5:1: unknown key `batch_sise`; did you mean `batch_size`?"),
    (["steps: 2": "steps: many"], "run.yaml:4:8: `steps` is the string 'many', but must be an integer of at least 1"),
    (["method: lora": "method: lara"], "run.yaml:2:9: there is no method `lara`; did you mean `lora`?"),
    (["steps: 2\n": ""], "run.yaml:1:1: one of `steps` and `epochs` is needed"),
    (
      ["method: lora": "method: { use: lora, rank: 0 }"],
      "run.yaml:2:28: `method.rank` is the integer 0, but must be an integer from 1 to 1048576"
    ),
    (
      ["method: lora": "method: { use: lora, rank: 65 }"],
      "run.yaml:2:9: rank 65 exceeds what model.layers.0.self_attn.q_proj [64, 64] can use; use at most 32, or, "
        + "with a random start, allow_excess_rank: true"
    ),
    (
      ["method: lora": "method: { use: lora, use_rslora: true }"],
      "run.yaml:2:22: unknown key `use_rslora` in `method`; did you mean `scaling` (peft and LLaMA-Factory call it `use_rslora`)?"
    ),
    (
      ["batch_size: 2": "batch_size: 2\ntarget_modules: [q_prj]"],
      "run.yaml:6:18: target_modules: `q_prj` matches no site of the model; did you mean `q_proj`?"
    ),
    (
      ["batch_size: 2": "batch_size: 3"],
      "run.yaml:5:13: tokens.safetensors holds batches of 2, but batch_size · gradient_accumulation is 3; make them equal"
    ),
    (
      ["method: lora": "method: { use: lora, rank_pattern: { q_proj: 0, k_proj: 4 } }"],
      "run.yaml:2:46: `method.rank_pattern.q_proj` is the integer 0, but must be a positive number"
    ),
    (
      ["method: lora": "method: { use: lora, trainable: [] }"],
      "run.yaml:2:33: `method.trainable` is an empty list, but must be a list of strings"
    ),
    (
      ["method: lora": "method: { use: lora, trainable: [base] }"],
      "run.yaml:2:9: trainable names the base alone, and projection `low-rank` would stay as it starts; "
        + "add roles of its tensors, or use projection: none"
    ),
    (
      ["method: lora": "method: { use: lora, name: ../lora }"],
      "run.yaml:2:28: a method cannot be named '../lora': use letters, digits, '-', '_' and '.'"
    ),
    (
      ["method: lora": "method: { use: lora, trainable: [core] }"],
      "run.yaml:2:9: nothing is trainable: no tensor of this projection is a core; name some of factor-a, factor-b under trainable"
    ),
    (
      ["method: lora": "method: lora\noptimizer: { lr: fast }"],
      "run.yaml:3:18: `optimizer.lr` is the string 'fast', but must be a number of at least 0.0"
    ),
  ]

  @Test(arguments: faults)
  func faultsHavePlaces(_ change: KeyValuePairs<String, String>, _ message: String) async throws {
    let scratch = try Scratch()
    try scratch.put("run.yaml", runText(change))
    try await scratch.expectRefusal("train", "@run.yaml", "-q", status: .configuration, message)
  }

  @Test func allFaultsAreToldAtOnce() async throws {
    let scratch = try Scratch()
    try scratch.put(
      "run.yaml", runText(["steps: 2": "steps: many"], adding: "seed: -1\nclip_grad_norm: 0\ntarget_modules: [q_prj]\n"))
    try await scratch.expectRefusal(
      "train", "@run.yaml", status: .configuration,
      "run.yaml:4:8: `steps` is the string 'many', but must be an integer of at least 1",
      "run.yaml:7:7: `seed` is the integer -1, but must be an integer of at least 0",
      "run.yaml:8:17: `clip_grad_norm` is the integer 0, but must be a number above 0.0",
      "run.yaml:9:18: target_modules: `q_prj` matches no site of the model; did you mean `q_proj`?")
  }

  @Test func whatIsMissingIsNamed() async throws {
    let scratch = try Scratch()
    try scratch.put("run.yaml", runText(["base_model: model": "base_model: modell"]))
    try await scratch.expectRefusal(
      "train", "@run.yaml", status: .missingInput,
      "run.yaml:1:13: base_model: modell: there is no such folder; relative paths start at this file's folder")
    try scratch.put("run.yaml", runText(["tokens.safetensors": "other.safetensors"]))
    try await scratch.expectRefusal(
      "train", "@run.yaml", status: .missingInput,
      "run.yaml:3:17: data.tokens: other.safetensors: there is no such file; relative paths start at this file's folder")
    try await scratch.expectRefusal(
      "train", "@no.yaml", status: .missingInput, "no.yaml: cannot be read (No such file or directory)")
    try await scratch.expectRefusal(
      "resume", "@model", status: .missingInput, "model: holds no run (there is no resolved.yaml); give a run's output_dir")
  }

  @Test func theRankMayExceedASiteWhereThatIsAllowed() async throws {
    let scratch = try Scratch()
    try scratch.put("run.yaml", runText(["method: lora": "method: { use: lora, rank: 65, allow_excess_rank: true }"]))
    #expect(await scratch.peft("train", "@run.yaml", "-q").status == .ok)
  }

  @Test func outputFoldersThatCannotBeAreRefused() async throws {
    let scratch = try Scratch()
    try scratch.put("file", "not a folder")
    for target in ["file", "file/out"] {
      try scratch.put("run.yaml", runText(["output_dir: out": "output_dir: \(target)"]))
      try await scratch.expectRefusal(
        "train", "@run.yaml", "-q", status: .cannotCreate,
        "run.yaml:6:13: output_dir: file: is no folder (there is a file of that name); choose another folder")
    }
    try scratch.put("run.yaml", runText())
    try Folder.create(scratch["out/metrics.jsonl"])
    let outcome = await scratch.peft("train", "@run.yaml", "-q")
    #expect(outcome.status == .cannotCreate)
    #expect(
      outcome.notes
        == "peft: error: run.yaml:6:13: output_dir: out/metrics.jsonl: is a folder, not a file; choose another output_dir\n")
  }

  @Test func aStoppedRunIsNotLost() async throws {
    let scratch = try Scratch()
    try scratch.put("run.yaml", runText(adding: "save_every: 1\n"))
    #expect(await scratch.peft("train", "@run.yaml", "-q").status == .ok)
    // As if the run had been stopped after its first step.
    try Folder.remove(scratch["out/checkpoints/step-00000002"])
    try await scratch.expectRefusal(
      "train", "@run.yaml", "-q", status: .cannotCreate,
      "out: holds a run that was stopped; go on with `peft resume out`, or begin anew with --overwrite")
    #expect(await scratch.peft("train", "@run.yaml", "-q", "--overwrite").status == .ok)
  }

  @Test func adaptersOfOtherBasesAreRefused() async throws {
    let scratch = try Scratch()
    try scratch.link("gpt2-adapter", to: Fixtures.run("gpt2-tiny/lora/adapter_init"))
    try scratch.put("run.yaml", runText(["method: lora": "init_adapter: gpt2-adapter\noptimizer: { lr: 1e-3 }"]))
    let before = try scratch.listing
    let outcome = await scratch.peft("train", "@run.yaml", "-q")
    #expect(outcome.status == .badData)
    #expect(
      outcome.notes.hasPrefix(
        "peft: error: gpt2-adapter/adapter_config.json: target_modules: [c_attn, c_proj, c_fc] matches no site"))
    #expect(outcome.notes.hasSuffix("check that the adapter belongs to this llama model\n"))
    #expect(try scratch.listing == before)
  }
}
