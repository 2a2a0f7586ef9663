import Catalog
import Files
import JSON
import PEFTCLI
import Testing

/// `train`, `resume`, `init` and `plan`, from text to adapter.
@Suite struct TrainTests {
  static let text = """
    base_model: text
    method: rslora
    data: { train: data.jsonl, valid: data.jsonl }
    optimizer: { lr: 1e-3, schedule: cosine, warmup: 1 }
    steps: 4
    batch_size: 3
    eval_every: 2
    output_dir: out
    samples: { prompts: ["What is 3 + 1?"], max_new_tokens: 4 }

    """

  @Test func textIsLearnedAndToldOf() async throws {
    let scratch = try Scratch()
    try scratch.makeTextModel()
    try scratch.put("run.yaml", Self.text)
    let outcome = await scratch.peft("train", "@run.yaml")
    #expect(outcome.status == .ok)
    for words in [
      "evaluation loss", "perplexity", "prompt  What is 3 + 1?", "before  ", "after   ", "trainable parameters: ",
      "adapter: out/adapter", "merge it ", "peft generate --model text --adapter out/adapter",
    ] {
      #expect(outcome.printed.contains(words), "\(words)")
    }
    #expect(outcome.notes.contains("step 4/4  loss"))
    let lines = try metrics(scratch["out"])
    #expect(lines.compactMap { $0["loss"] != nil ? $0["step"]?.int : nil } == [1, 2, 3, 4])
    let evaluations = lines.filter { $0["eval_loss"] != nil }
    #expect(evaluations.compactMap { $0["step"]?.int } == [0, 2, 4])
    #expect(evaluations.allSatisfy { $0["loss"] == nil })

    // What the run says of its end is what `eval` finds.
    let eval = await scratch.peft("eval", "--model", "@text", "--adapter", "@out/adapter", "--data", "@data.jsonl", "--json")
    let last = try #require(evaluations.last?["eval_loss"]?.double)
    #expect(abs(try #require(try eval.json()["loss"]?.double) - last) < 1e-6)
    let inspected = await scratch.peft("inspect", "@out", "--json")
    #expect(try inspected.json()["kind"] == "run")
  }

  /// In words, an instruction is the mean of its tokens' rows, at a root mean square of 1.
  @Test func anInstructionMayBeGivenInWords() async throws {
    let scratch = try Scratch()
    try scratch.makeTextModel()
    let method = "method: { use: queryable-lora, instruction: add one }"
    try scratch.put("run.yaml", Self.text.replacing("method: rslora", with: method))
    #expect(await scratch.peft("train", "@run.yaml", "-q").status == .ok)

    let table = try SafetensorsFile(scratch["text/model.safetensors"]).doubles(of: "model.embed_tokens.weight")
    let words = "add one".utf8.map { Int($0) + 3 }
    let width = try #require(try JSON(parsing: TextFile.read(scratch["text/config.json"]))["hidden_size"]?.int)
    let mean = (0..<width).map { i in words.reduce(0) { $0 + table[$1 * width + i] } / Double(words.count) }
    let size = (mean.reduce(0) { $0 + $1 * $1 } / Double(width) + 1e-6).squareRoot()
    let file = try SafetensorsFile(scratch["out/adapter/adapter_model.safetensors"])
    let name = try #require(file.tensors.map(\.name).first { $0.hasSuffix("instruction") })
    let stored = try file.doubles(of: name)
    #expect(stored.count == width && zip(stored, mean).allSatisfy { abs($0 - $1 / size) < 1e-5 })

    try scratch.put("run.yaml", Self.text.replacing("method: rslora", with: method.replacing("add one", with: "' '")))
    let refused = await scratch.peft("train", "@run.yaml", "--overwrite")
    #expect(refused.status == .configuration && refused.notes.contains("must be a list of numbers, or a text"))
  }

  /// Rounded to the 16 bits of its base, a trained model would not be the one that was evaluated.
  @Test func aTrainedModelIsSavedAsItWasTrained() async throws {
    let scratch = try Scratch()
    #expect(await scratch.peft("merge", "--model", "@model", "--dtype", "bf16", "--out", "@half").status == .ok)
    let data = "data: { tokens: tokens.safetensors, valid: tokens.safetensors }\noptimizer: { lr: 1e-5 }"
    try scratch.put(
      "run.yaml",
      runText([
        "base_model: model": "base_model: half", "method: lora": "method: full", "data: { tokens: tokens.safetensors }": data,
      ]))
    #expect(await scratch.peft("train", "@run.yaml", "-q").status == .ok)
    let last = try #require(try metrics(scratch["out"]).last?["eval_loss"]?.double)
    let eval = await scratch.peft("eval", "--model", "@out/model", "--data", "@tokens.safetensors", "--json")
    #expect(abs(try #require(try eval.json()["loss"]?.double) - last) < 1e-9)
  }

  /// What was trained together belongs together, and says so.
  @Test func baseAndAdapterAreTrainedAlong() async throws {
    let scratch = try Scratch()
    try scratch.put(
      "run.yaml",
      runText(["method: lora": "method: { use: lora, trainable: [base, factor-b] }\noptimizer: { lr: 1e-3 }"]))
    let outcome = await scratch.peft("train", "@run.yaml")
    #expect(outcome.status == .ok, "\(outcome.notes)")
    let model = try SafetensorsFile(scratch["model/model.safetensors"]).tensors.reduce(0) { $0 + $1.count }
    let factors = try SafetensorsFile(scratch["out/adapter/adapter_model.safetensors"]).tensors
    let trained = factors.filter { $0.name.contains("lora_B") }.reduce(model) { $0 + $1.count }
    let text = outcome.printed.replacing(",", with: "")
    #expect(text.contains("trainable parameters: \(trained) of \(trained) (100"), "\(outcome.printed)")
    #expect(outcome.printed.contains("peft merge --model out/model --adapter out/adapter --out out/merged"))
    // No tokenizer, no text.
    #expect(!outcome.printed.contains("peft generate"))
    let config = try TextFile.readJSON(scratch["out/adapter/adapter_config.json"])
    #expect(config["base_model_name_or_path"]?.string == scratch["out/model"])
    let both = ["--data", "@tokens.safetensors", "--adapter", "@out/adapter"]
    #expect(await scratch.peft(["eval", "--model", "@out/model"] + both).status == .ok)
    let other = await scratch.peft(["eval", "--model", "@model"] + both)
    #expect(other.status == .badData && other.notes.contains("was trained on another base than model"), "\(other.notes)")
  }

  @Test func eventsAreObjectsOfJSON() async throws {
    let scratch = try Scratch()
    try scratch.put("run.yaml", runText())
    let outcome = await scratch.peft("train", "@run.yaml", "--json")
    #expect(outcome.status == .ok)
    let events = try outcome.printed.split(separator: "\n").map { try JSON(parsing: String($0)) }
    #expect(events.compactMap { $0["event"]?.string } == ["started", "step", "step", "saved", "finished"])
    #expect(events[3]["path"] == "out/checkpoints/step-00000002")
    let end = try #require(events.last)
    #expect(end["steps"]?.int == 2 && end["adapter"] == "out/adapter" && end["trainable"]?.int == events[0]["trainable"]?.int)
  }

  @Test func initWritesWhatARunStartsWith() async throws {
    let scratch = try Scratch()
    try scratch.put("run.yaml", runText(["method: lora": "method: { use: lora-ga, rank: 2, batches: 2 }"]))
    let outcome = await scratch.peft("init", "@run.yaml", "--out", "@start", "--json")
    #expect(outcome.status == .ok)
    #expect(try outcome.json()["trainable"]?.int ?? 0 > 0)
    // The start of LoRA-GA leaves the function as it is.
    for (name, arguments) in [("base", []), ("start", ["--adapter", "@start"])] {
      let forward = await scratch.peft(
        ["forward", "--model", "@model", "--inputs", try scratch.ids(), "--out", "@\(name).safetensors"] + arguments)
      #expect(forward.status == .ok)
    }
    #expect(try difference("logits", scratch["base.safetensors"], scratch["start.safetensors"]) < 1e-4)
    // A run that goes on from it is the run itself.
    try scratch.put(
      "on.yaml", runText(["method: lora": "init_adapter: start\noptimizer: { lr: 1e-4 }", "output_dir: out": "output_dir: on"]))
    for name in ["run", "on"] { #expect(await scratch.peft("train", "@\(name).yaml", "-q").status == .ok) }
    let files = ["out", "on"].map { scratch["\($0)/adapter/adapter_model.safetensors"] }
    for entry in try SafetensorsFile(files[0]).tensors { #expect(try difference(entry.name, files[0], files[1]) < 1e-6) }
  }

  @Test func aPlanStartsNothing() async throws {
    let scratch = try Scratch()
    try scratch.put("run.yaml", runText())
    let before = try scratch.listing
    for arguments in [["plan", "@run.yaml"], ["plan", "@run.yaml", "--json"], ["train", "@run.yaml", "--dry-run"]] {
      #expect(await scratch.peft(arguments).status == .ok)
    }
    #expect(try scratch.listing == before)
  }

  @Test func aPlanSaysWhetherLayersAreComputedTwice() async throws {
    let scratch = try Scratch()
    for (line, isOn) in [("", false), ("\nactivation_checkpointing: true", true)] {
      try scratch.put("run.yaml", runText(["steps: 2": "steps: 2" + line]))
      let plan = await scratch.peft("plan", "@run.yaml")
      #expect(plan.status == .ok && plan.printed.contains("only the layers' inputs are kept") == isOn)
      let json = try await scratch.peft("plan", "@run.yaml", "--json").json()
      #expect(json["activation_checkpointing"] == .bool(isOn))
    }
  }

  @Test func aNumberThatIsNoneStopsTheRun() async throws {
    let scratch = try Scratch()
    try scratch.put("run.yaml", runText(["steps: 2": "steps: 5\noptimizer: { lr: 1e30 }"]))
    let outcome = await scratch.peft("train", "@run.yaml", "-q")
    #expect(outcome.status == .failed)
    #expect(outcome.notes.hasPrefix("peft: error: step 2: the "))
    #expect(outcome.notes.contains(".lora_") && outcome.notes.contains("lower the learning rate (1e+30)"))
    #expect(!Folder.exists(scratch["out/adapter"]) && !Folder.exists(scratch["out/checkpoints"]))
    // What is no longer finite after the last step is not saved either.
    try scratch.put("run.yaml", runText(["steps: 2": "steps: 1\noptimizer: { lr: 1e300 }"]))
    let last = await scratch.peft("train", "@run.yaml", "-q")
    #expect(last.status == .failed && last.notes.contains("step 1: ") && last.notes.contains("is no longer finite"))
    #expect(!Folder.exists(scratch["out/adapter"]) && !Folder.exists(scratch["out/checkpoints"]))
  }

  @Test func aFinishedRunMayBeMadeAnew() async throws {
    let scratch = try Scratch()
    try scratch.put("run.yaml", runText())
    // A folder that was made beforehand is welcome, and so is what else lies in it.
    try scratch.put("out/notes.txt", "mine")
    #expect(await scratch.peft("train", "@run.yaml", "-q").status == .ok)
    try await scratch.expectRefusal(
      "train", "@run.yaml", "-q", status: .cannotCreate,
      "out: holds a finished run; choose another output_dir, or begin anew with --overwrite")
    #expect(await scratch.peft("train", "@run.yaml", "-q", "--overwrite").status == .ok)
    #expect(Folder.isFile(scratch["out/notes.txt"]) && !Folder.exists(scratch["out/.lock"]))
    #expect(try metrics(scratch["out"]).count == 2)
    // Nothing is left to go on with: the results are written once more.
    let adapter = scratch["out/adapter/adapter_model.safetensors"]
    let digest = try SHA256.hex(ofFile: adapter)
    #expect(await scratch.peft("resume", "@out", "-q").status == .ok)
    #expect(try SHA256.hex(ofFile: adapter) == digest)
    #expect(try metrics(scratch["out"]).count == 2)
  }

  @Test func resultsOfOthersAreNotReplaced() async throws {
    let scratch = try Scratch()
    try scratch.put("run.yaml", runText())
    try scratch.put("out/adapter/adapter_config.json", "{}")
    try await scratch.expectRefusal(
      "train", "@run.yaml", "-q", status: .cannotCreate,
      "out: holds `adapter`; choose another output_dir, or begin anew with --overwrite")
  }

  @Test func aStartThatLooksAtGradientsSaysSo() async throws {
    let scratch = try Scratch()
    try scratch.put("run.yaml", runText(["method: lora": "method: { use: lora-ga, rank: 2, batches: 3 }"]))
    let lines = await scratch.peft("train", "@run.yaml")
    #expect(lines.notes.hasPrefix("looking at gradients 1/3\nlooking at gradients 3/3\n"))
    let events = try await scratch.peft("train", "@run.yaml", "--json", "--overwrite").printed.split(separator: "\n")
      .map { try JSON(parsing: String($0)) }
    #expect(events.prefix(3).compactMap { $0["batch"]?.int } == [1, 2, 3])
  }

  @Test func whatDoesNotReachTheLossIsNoted() async throws {
    let scratch = try Scratch()
    // B starts at zero, so that A alone has no effect.
    for (roles, isNoted) in [("factor-a", true), ("factor-a, factor-b", false)] {
      try scratch.put("run.yaml", runText(["method: lora": "method: { use: lora, trainable: [\(roles)] }"]))
      let outcome = await scratch.peft("train", "@run.yaml", "--overwrite")
      #expect(outcome.status == .ok)
      #expect(outcome.notes.contains("note: every gradient of the first step is exactly zero") == isNoted)
    }
  }

  @Test func aScaleBeyondAllNumbersIsNamed() async throws {
    let scratch = try Scratch()
    try scratch.put("run.yaml", runText(["method: lora": "method: { use: lora, rank: 8, alpha: 1e300 }"]))
    let outcome = await scratch.peft("train", "@run.yaml", "-q")
    #expect(outcome.status == .failed)
    #expect(
      outcome.notes
        == "peft: error: step 1: the loss is nan; the change at model.layers.0.self_attn.q_proj is scaled by 1.25e+299, "
        + "more than single precision holds; lower what the scale follows from, such as alpha\n")
  }

  @Test func beforeTheFirstUpdateTheRateIsNotToBlame() async throws {
    let scratch = try Scratch()
    // In reach of single precision, but not of the products that follow.
    try scratch.put("run.yaml", runText(["method: lora": "method: { use: lora, init: orthogonal, rank: 8, alpha: 1e39 }"]))
    let outcome = await scratch.peft("train", "@run.yaml", "-q")
    #expect(outcome.status == .failed && !outcome.notes.contains("lower the learning rate"), "\(outcome.notes)")
    #expect(outcome.notes.contains("nothing has been updated yet, so it is not the learning rate; the base alone has the loss "))
  }

  @Test func entriesOfOnesOwnNeedNoSwift() async throws {
    let scratch = try Scratch()
    try scratch.put(
      "mine/tiny.yaml",
      """
      name: tiny
      projection: { use: low-rank, rank: 1, alpha: 2 }
      init: { use: gaussian }
      trainable: [factor-b]
      targets: [mlp.down]
      optimizer: { name: adamw, lr: 1e-2 }
      """)
    try scratch.put("run.yaml", runText(["method: lora": "method: tiny"]))
    #expect(await scratch.peft("train", "@run.yaml", "--methods", "@mine", "-q").status == .ok)
    let page = await scratch.peft("methods", "tiny", "--methods", "@mine")
    #expect(page.printed.contains("trained: factor-b"))
    try await scratch.expectRefusal(
      "train", "@run.yaml", status: .configuration,
      "run.yaml:2:9: there is no method `tiny`; known: " + Catalog.registry().entries.keys.sorted().joined(separator: ", "))
  }
}
