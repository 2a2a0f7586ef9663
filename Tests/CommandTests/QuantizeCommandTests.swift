import Files
import JSON
import PEFTCLI
import Testing

@Suite struct QuantizeCommandTests {
  @Test(arguments: [
    ["--scheme", "rtn", "--bits", "4", "--group-size", "16"],
    ["--scheme", "rtn", "--bits", "8", "--group-size", "row", "--symmetric"],
    ["--scheme", "gptq", "--bits", "3", "--group-size", "16", "--data", "@tokens.safetensors", "--samples", "4"],
    [
      "--scheme", "gptq", "--bits", "2", "--group-size", "16", "--magr", "--magr-iters", "5", "--coordinate-descent", "1",
      "--act-order", "--data", "@tokens.safetensors", "--samples", "4",
    ],
    ["--scheme", "nf4", "--double-quant"],
  ])
  func writesAModelThatLoads(_ arguments: [String]) async throws {
    let scratch = try Scratch()
    let outcome = await scratch.peft(["quantize", "@model", "--output", "@small"] + arguments)
    #expect(outcome.status == .ok && outcome.notes.isEmpty, "\(outcome.notes)")
    #expect(outcome.printed.contains("attention.query") && outcome.printed.contains("bits a weight"))
    #expect(outcome.printed.contains(arguments.contains("--data") ? "‖E·Xᵀ‖/‖W·Xᵀ‖" : "‖E‖/‖W‖"))
    let origin = try TextFile.readJSON(scratch["small/config.json"])["quantization_config"]?["origin"]
    #expect(origin?["path"]?.string == scratch["model"])
    let ids = try scratch.ids()
    for (model, out) in [("@model", "@a.safetensors"), ("@small", "@b.safetensors")] {
      let forward = await scratch.peft("forward", "--model", model, "--inputs", ids, "--out", out)
      #expect(forward.status == .ok)
    }
    let difference = try difference("loss", scratch["a.safetensors"], scratch["b.safetensors"])
    #expect(difference > 0 && difference < 0.1)
  }

  @Test func reportsForPrograms() async throws {
    let scratch = try Scratch()
    let report = try await scratch.peft(
      "quantize", "@model", "--scheme", "rtn", "--group-size", "16", "--output", "@small", "--json"
    ).json()
    let sites = try #require(report["sites"]?.array)
    #expect(sites.count == 14 && sites[0]["path"]?.string == "model.layers.0.self_attn.q_proj")
    #expect(report["before"]?.int == sites.reduce(0) { $0 + ($1["before"]?.int ?? 0) })
    // 4 bits and five bytes for every 16 weights instead of 32 bits.
    let (before, after) = (try #require(report["before"]?.int), try #require(report["after"]?.int))
    #expect(after * 64 == before * 13)
    for site in sites { #expect((0.01..<0.2).contains(site["relative_error"]?.double ?? 0)) }
  }

  @Test func leavesToTheAdapterWhatItCanTake() async throws {
    let scratch = try Scratch()
    try scratch.put("run.yaml", runText(["lora": "{ use: lora, init: { use: quantization-error } }"]))
    func error(_ arguments: String...) async throws -> Double {
      let report = try await scratch.peft(
        [
          "quantize", "@model", "--scheme", "rtn", "--bits", "2", "--group-size", "16", "--output", "@small", "--overwrite",
          "--json",
        ]
          + arguments
      ).json()
      return report["sites"]?.array?.first?["relative_error"]?.double ?? 0
    }
    let (once, often) = (try await error("--for", "@run.yaml", "--rounds", "1"), try await error("--for", "@run.yaml"))
    let alone = try await error()
    #expect(often < once && once < alone)
  }

  @Test func aRunFromCodesToNumbers() async throws {
    let scratch = try Scratch()
    #expect(
      await scratch.peft("quantize", "@model", "--scheme", "nf4", "--block-size", "32", "--output", "@small").status == .ok)
    try scratch.put("run.yaml", runText(["base_model: model": "base_model: small"]))
    #expect(await scratch.peft("train", "@run.yaml").status == .ok)
    let merged = await scratch.peft("merge", "--model", "@small", "--adapter", "@out/adapter", "--out", "@merged")
    #expect(merged.status == .ok && merged.notes.contains("the base is quantized; the merged model is not"))
    let ids = try scratch.ids()
    for arguments in [
      ["--model", "@small", "--adapter", "@out/adapter", "--out", "@a.safetensors"],
      ["--model", "@merged", "--out", "@b.safetensors"],
    ] {
      #expect(await scratch.peft(["forward", "--inputs", ids] + arguments).status == .ok)
    }
    #expect(try difference("logits", scratch["a.safetensors"], scratch["b.safetensors"]) < 1e-5)
  }

  @Test func refusesWhatMakesNoSense() async throws {
    let scratch = try Scratch()
    func usage(_ arguments: String..., says text: String) async {
      let outcome = await scratch.peft(["quantize", "@model", "--output", "@small"] + arguments)
      #expect(outcome.status == .usage && outcome.notes.contains("error: " + text), "\(outcome.notes)")
    }
    await usage("--scheme", "gptq", says: "--scheme gptq needs --data")
    await usage("--scheme", "rtn", "--magr", says: "--magr needs --data")
    await usage("--scheme", "rtn", "--coordinate-descent", "2", says: "--coordinate-descent needs --data")
    await usage("--scheme", "nf4", "--bits", "4", says: "--bits does not go with --scheme nf4")
    await usage("--scheme", "rtn", "--double-quant", says: "--double-quant does not go with --scheme rtn")
    await usage("--scheme", "rtn", "--act-order", says: "--act-order does not go with --scheme rtn")
    await usage("--scheme", "rtn", "--rounds", "2", says: "--rounds goes with --for")
    await usage("--scheme", "rtn", "--magr-alpha", "2", says: "--magr-alpha goes with --magr")
    await usage("--scheme", "rtn", "--bits", "5", says: "bits is 5, but must be 2, 3, 4 or 8; use 4")
    await usage("--scheme", "rtn", "--group-size", "0", says: "group_size is 0")
    await usage("--scheme", "nf4", "--block-size", "48", says: "block_size is 48, but must be a power of two from 32 to 4096")
    #expect(!Folder.exists(scratch["small"]))

    try await scratch.expectRefusal(
      "quantize", "@model", "--scheme", "rtn", "--output", "@small", status: .configuration,
      "model.layers.0.mlp.down_proj: group_size 64 does not divide the 176 inputs; use 44, which does")
    try await scratch.expectRefusal(
      "quantize", "@model", "--scheme", "rtn", "--output", "@model", "--overwrite", status: .cannotCreate,
      "model: is an input and is not replaced; write to another folder")
    try scratch.put("data.txt", "x\n")
    let text = await scratch.peft(
      "quantize", "@model", "--scheme", "gptq", "--data", "@data.txt", "--output", "@small")
    #expect(text.status == .missingInput && text.notes.contains("tokenizer.json: is missing"))

    #expect(await scratch.peft("quantize", "@model", "--scheme", "nf4", "--output", "@small").status == .ok)
    try await scratch.expectRefusal(
      "quantize", "@small", "--scheme", "nf4", "--output", "@smaller", status: .configuration,
      "small is quantized already, and codes of codes lose twice; quantize the model it was made from; or write its weights as "
        + "numbers first, with `peft merge --dtype`")
    try await scratch.expectRefusal(
      "quantize", "@model", "--scheme", "nf4", "--output", "@small", status: .cannotCreate,
      "small: exists already; choose another name or remove it")
    let merged = await scratch.peft("merge", "--model", "@small", "--out", "@merged", "--dtype", "nf4")
    #expect(merged.status == .usage && merged.notes.contains("a merged model is not coded anew"))
    try scratch.put("full.yaml", runText(["base_model: model": "base_model: small", "method: lora": "method: full"]))
    try await scratch.expectRefusal(
      "train", "@full.yaml", status: .configuration,
      "full.yaml:2:9: the base's own weights cannot be trained: model.layers.0.self_attn.q_proj.weight and 13 others are quantized; "
        + "train an adapter on it, or the model it was made from")
    try scratch.put("other.yaml", runText(["method: lora": "method: uni-lora"]))
    let other = await scratch.peft(
      "quantize", "@model", "--scheme", "nf4", "--for", "@other.yaml", "--output", "@smaller")
    #expect(
      other.status == .configuration && other.notes.contains("other.yaml:2:9: this method's projection cannot be brought near"))
  }
}
