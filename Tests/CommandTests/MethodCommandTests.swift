import Catalog
import Files
import JSON
import PEFTCLI
import Testing

/// `methods`, `schema`, `inspect`, `verify`, `doctor`, and the parser's own words.
@Suite struct MethodCommandTests {
  @Test func methodsAreListedAndDescribed() async throws {
    let scratch = try Scratch()
    let list = await scratch.peft("methods")
    let names = try Catalog.registry().entries.keys.sorted()
    #expect(list.printed.split(separator: "\n").dropFirst().map { String($0.prefix { $0 != " " }) } == names)
    for name in names {
      let page = await scratch.peft("methods", name)
      #expect(page.status == .ok && page.printed.contains("in a run file:  method: \(name)"))
      #expect(try await scratch.peft("methods", name, "--json").json()["name"]?.string == name)
    }
    try await scratch.expectRefusal(
      "methods", "lorra", status: .configuration, "there is no method `lorra`; did you mean `lora`?")
  }

  @Test func theSchemaNamesEveryKey() async throws {
    let scratch = try Scratch()
    let page = await scratch.peft("schema")
    for key in ["base_model", "init_adapter", "data.tokens", "optimizer.lr", "clip_grad_norm", "samples.top_p"] {
      #expect(page.printed.contains("\n\(key) "))
    }
    #expect(await scratch.peft("schema", "--entry").printed.contains("\npeft_type "))
    #expect(await scratch.peft("schema", "--markdown").printed.hasPrefix("#"))
  }

  @Test func filesAreInspected() async throws {
    let scratch = try Scratch()
    let adapter = Fixtures.run("llama-tiny/lora/adapter_init")
    for (path, kind, words) in [
      (Fixtures.model("llama"), "model", "max_position_embeddings  32"),
      (adapter, "adapter", "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"),
      (Fixtures.golden("lora.0"), "safetensors", "grad.lora_A"),
    ] {
      let outcome = await scratch.peft("inspect", path)
      #expect(outcome.status == .ok && outcome.printed.hasPrefix("\(kind) \(path)\n") && outcome.printed.contains(words))
      #expect(try await scratch.peft("inspect", path, "--json").json()["kind"]?.string == kind)
    }
    try await scratch.expectRefusal(
      "inspect", "@nothing", status: .missingInput, "nothing: there is no such file or folder")
  }

  @Test func goldensAreVerified() async throws {
    let scratch = try Scratch()
    let files = ["lora.0", "lora-ga.0", "unilora.0", "shared_sites.0", "queryable_lora.0"].map(Fixtures.golden)
    let outcome = await scratch.peft(["verify"] + files)
    #expect(outcome.status == .ok, "\(outcome.printed)")
    #expect(outcome.printed.split(separator: "\n").count == files.count)
    #expect(outcome.printed.split(separator: "\n").allSatisfy { $0.hasPrefix("ok ") && $0.contains("  y ") })
    #expect(await scratch.peft("verify", "--tolerance", "1e-12", files[0]).status == .failed)
    let report = try await scratch.peft("verify", "--json", files[0]).json()
    #expect(report["passed"] == true && report["files"]?.array?.first?["method"] == "lora")
  }

  @Test func goldensOfMethodsThatAreNotThereFail() async throws {
    let scratch = try Scratch()
    let source = try SafetensorsFile(Fixtures.golden("lora.0"))
    try SafetensorsWriter.write(
      source.tensors.map { .init(copying: $0, of: source) }, metadata: ["method": "sorcery", "config": "{}"],
      to: scratch["golden.safetensors"])
    let outcome = await scratch.peft("verify", "@golden.safetensors", Fixtures.golden("lora.0"))
    #expect(outcome.status == .failed)
    #expect(outcome.printed.contains("no method here reads reference files of `sorcery`") && outcome.printed.contains("ok "))
  }

  @Test func goldensSayWhatTheyLeaveOpen() async throws {
    let scratch = try Scratch()
    let source = try SafetensorsFile(Fixtures.golden("lora.0"))
    let inputs = source.tensors.filter { !["dx", "merged"].contains($0.name) && !$0.name.hasPrefix("grad.") }
    try SafetensorsWriter.write(
      inputs.map { .init(copying: $0, of: source) }, metadata: source.metadata, to: scratch["golden.safetensors"])
    let outcome = await scratch.peft("verify", "@golden.safetensors")
    #expect(outcome.status == .ok)
    #expect(
      outcome.printed.hasSuffix("\n        not stated by the file, so not compared: dx, grad.lora_A, grad.lora_B\n"),
      "\(outcome.printed)")
    let report = try await scratch.peft("verify", "@golden.safetensors", "--json").json()
    #expect(report["files"]?.array?.first?["absent"] == ["dx", "grad.lora_A", "grad.lora_B"])
    try await scratch.expectRefusal(
      "verify", Fixtures.golden("lora.0"), "@none", status: .missingInput, "none: cannot be read (No such file or directory)")
  }

  @Test func theMachineIsMeasured() async throws {
    let scratch = try Scratch()
    let report = try await scratch.peft("doctor", "--json").json()
    #expect(report["blas_kernel"]?.string?.isEmpty == false)
    for key in ["threads", "gflops_1", "gflops", "memory_gb_per_second", "memory_read_gb_per_second"] {
      #expect(report[key]?.double ?? 0 > 0, "\(key)")
    }
  }

  @Test func commandLinesThatMakeNoSenseAreUsageErrors() async throws {
    let scratch = try Scratch()
    for arguments in [
      ["train"], ["train", "run.yaml", "--sped"], ["nonsense"], ["eval", "--model", "m"],
      ["generate", "--model", "m", "--prompt", "p", "--top-p", "0"], ["verify"],
      ["merge", "--model", "m", "--adapter", "a", "--out", "o", "--dtype", "f8"],
      ["export", "--model", "m", "--adapter", "a", "--out", "o", "--rank", "0"],
    ] {
      let outcome = await scratch.peft(arguments)
      #expect(outcome.status == .usage && outcome.notes.hasPrefix("peft: error: ") && outcome.printed.isEmpty, "\(arguments)")
    }
    for arguments in [["--help"], ["help"], ["help", "train"], ["train", "--help"], ["--version"]] {
      let outcome = await scratch.peft(arguments)
      #expect(outcome.status == .ok && outcome.notes.isEmpty, "\(arguments)")
    }
  }
}
