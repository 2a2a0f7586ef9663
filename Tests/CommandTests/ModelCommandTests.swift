import Files
import JSON
import PEFTCLI
import Testing

extension Scratch {
  /// `ids.safetensors`: the sequences of the first step, as `forward` reads them.
  func ids() throws -> String {
    let file = try SafetensorsFile(self["tokens.safetensors"])
    let shape = try #require(file.entry("input_ids")).shape
    let first = try file.ints(of: "input_ids").prefix(shape[1] * shape[2])
    if !Folder.exists(self["ids.safetensors"]) {
      try SafetensorsWriter.write(
        [.init(name: "input_ids", shape: Array(shape[1...]), ints: Array(first))], to: self["ids.safetensors"])
    }
    return self["ids.safetensors"]
  }
}

/// `forward`, `eval`, `generate`, `merge` and `export`.
@Suite struct ModelCommandTests {
  @Test(arguments: ["llama", "gpt2"])
  func outputsEqualTheReference(_ family: String) async throws {
    let scratch = try Scratch()
    let reference = Fixtures.model(family) + "/reference.safetensors"
    let outcome = await scratch.peft(
      "forward", "--model", Fixtures.model(family), "--inputs", reference, "--out", "@out.safetensors")
    #expect(outcome.status == .ok && outcome.notes.isEmpty)
    let ours = try SafetensorsFile(scratch["out.safetensors"])
    for entry in try SafetensorsFile(reference).tensors where !["input_ids", "attention_mask"].contains(entry.name) {
      #expect(ours.entry(entry.name)?.shape == entry.shape)
      #expect(try difference(entry.name, scratch["out.safetensors"], reference) <= 2e-5, "\(entry.name)")
    }
  }

  @Test func evaluationAgreesWithTheReference() async throws {
    let scratch = try Scratch()
    // What the reference runs wrote down before their first step: the base's loss, and that of an adapter.
    for (name, arguments) in [
      ("full", ["--model", Fixtures.run("llama-tiny/full/adapter_init")]),
      ("lora", ["--model", "@model", "--adapter", Fixtures.run("llama-tiny/lora/adapter_init")]),
    ] {
      let run = Fixtures.run("llama-tiny/\(name)")
      let batches = try SafetensorsFile(run + "/batches.safetensors")
      let shape = try #require(batches.entry("input_ids")).shape
      let ids = Array(try batches.ints(of: "input_ids").prefix(shape[1] * shape[2]))
      try? Folder.remove(scratch["first.safetensors"])
      try SafetensorsWriter.write(
        [.init(name: "input_ids", shape: [1] + shape[1...], ints: ids)], to: scratch["first.safetensors"])
      let loss = try #require(try TextFile.readJSON(run + "/run.json")["losses"]?.array?.first?.double)
      let report = try await scratch.peft(["eval", "--data", "@first.safetensors", "--json"] + arguments).json()
      #expect(abs(try #require(report["loss"]?.double) - loss) <= 5e-6 * loss)
      #expect(report["tokens"]?.int == shape[1] * (shape[2] - 1) && report["examples"]?.int == shape[1])
      #expect(report["perplexity"]?.double != nil)
    }
  }

  @Test(arguments: [nil, "lora", "{ use: queryable-lora, rank: 2, num_atoms: 4 }"])
  func greedyTextIsWhatAPassOverAllOfItSays(_ method: String?) async throws {
    let scratch = try Scratch()
    try scratch.makeTextModel()
    var attached = ["--model", "@text"]
    if let method {
      try scratch.put(
        "run.yaml",
        runText([
          "base_model: model": "base_model: text", "tokens: tokens.safetensors": "train: data.jsonl",
          "method: lora": "method: \(method)\noptimizer: { lr: 0.02 }",
        ]))
      #expect(await scratch.peft("train", "@run.yaml", "-q").status == .ok)
      attached += ["--adapter", "@out/adapter"]
    }
    let command = ["generate", "--prompt", "In the beginning", "-n", "12"] + attached
    let report = try await scratch.peft(command + ["--json"]).json()
    let again = try await scratch.peft(command + ["--json"]).json()
    func numbers(_ key: String) -> [Int] { report[key]?.array?.compactMap(\.int) ?? [] }
    #expect(numbers("prompt_ids") == "In the beginning".utf8.map { Int($0) + 3 })
    #expect(numbers("ids").count == 12 && report["ids"] == again["ids"] && report["text"] == again["text"])
    let plain = await scratch.peft(command)
    #expect(plain.printed == (report["text"]?.string ?? "") + "\n")
    // No cache in this one: every row predicts the next id of the text that was made with a cache.
    let all = numbers("prompt_ids") + numbers("ids")
    try SafetensorsWriter.write([.init(name: "input_ids", shape: [1, all.count], ints: all)], to: scratch["all.safetensors"])
    #expect(
      await scratch.peft(["forward", "--inputs", "@all.safetensors", "--out", "@out.safetensors"] + attached).status == .ok)
    let logits = try SafetensorsFile(scratch["out.safetensors"]).floats(of: "logits")
    let width = logits.count / all.count
    for row in numbers("prompt_ids").count - 1..<all.count - 1 {
      let scores = logits[row * width..<(row + 1) * width]
      #expect(scores.max() == scores[row * width + all[row + 1]])
    }
  }

  @Test func drawnTextFollowsFromTheSeed() async throws {
    let scratch = try Scratch()
    try scratch.makeTextModel()
    func ids(_ seed: Int, _ topP: String) async throws -> JSON? {
      try await scratch.peft(
        "generate", "--model", "@text", "-n", "10", "--prompt", "a", "--temperature", "0.8", "--top-p", topP, "--seed",
        "\(seed)", "--json"
      ).json()["ids"]
    }
    #expect(try await ids(1, "0.9") == ids(1, "0.9"))
    #expect(try await ids(1, "0.9") != ids(2, "0.9"))
    // So narrow a choice is none.
    #expect(try await ids(1, "1e-9") == ids(2, "1e-9"))
  }

  @Test(arguments: ["lora", "rslora", "{ use: lora-ga, rank: 2, batches: 2 }", "uni-lora"])
  func mergedAndExportedModelsComputeWhatTheAdapterComputes(_ method: String) async throws {
    let scratch = try Scratch()
    try scratch.put("run.yaml", runText(["method: lora": "method: \(method)\noptimizer: { lr: 0.02 }"]))
    #expect(await scratch.peft("train", "@run.yaml", "-q").status == .ok)
    let both = ["--model", "@model", "--adapter", "@out/adapter"]
    #expect(await scratch.peft(["merge", "--out", "@merged"] + both).status == .ok)
    let export = await scratch.peft(["export", "--out", "@exported", "--json"] + both)
    #expect(try export.json()["exact"] == true)
    for (name, arguments) in [
      ("base", ["--model", "@model"]), ("adapted", both), ("merged", ["--model", "@merged"]),
      ("exported", ["--model", "@model", "--adapter", "@exported"]),
    ] {
      let outcome = await scratch.peft(
        ["forward", "--inputs", try scratch.ids(), "--out", "@\(name).safetensors"] + arguments)
      #expect(outcome.status == .ok, "\(outcome.notes)")
    }
    func apart(_ other: String) throws -> Double {
      try difference("logits", scratch["adapted.safetensors"], scratch["\(other).safetensors"])
    }
    #expect(try apart("base") > 1e-3)
    #expect(try apart("merged") < 2e-5)
    #expect(try apart("exported") < 2e-5)
  }

  @Test func whatDependsOnTheInputIsNotMerged() async throws {
    let scratch = try Scratch()
    try scratch.put("run.yaml", runText(["method: lora": "method: { use: queryable-lora, rank: 2, num_atoms: 4 }"]))
    #expect(await scratch.peft("train", "@run.yaml", "-q").status == .ok)
    for command in ["merge", "export"] {
      let before = try scratch.listing
      let outcome = await scratch.peft(command, "--model", "@model", "--adapter", "@out/adapter", "--out", "@merged")
      #expect(outcome.status == .configuration && outcome.printed.isEmpty)
      #expect(outcome.notes.hasPrefix("peft: error: ") && outcome.notes.contains("every token"), "\(outcome.notes)")
      #expect(try scratch.listing == before)
    }
  }
}
