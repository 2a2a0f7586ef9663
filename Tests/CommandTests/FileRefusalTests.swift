import Files
import JSON
import PEFTCLI
import Testing

/// A safetensors file of that header over so many bytes of data.
private func safetensors(_ header: String, _ data: Int) -> [UInt8] {
  let length = (0..<8).map { UInt8(truncatingIfNeeded: header.utf8.count >> (8 * $0)) }
  return length + Array(header.utf8) + [UInt8](repeating: 0, count: data)
}

private func tensor(_ name: String, _ shape: String, _ offsets: String) -> String {
  "\"\(name)\": {\"dtype\": \"F32\", \"shape\": \(shape), \"data_offsets\": \(offsets)}"
}

/// Models, adapters and data that are not what they should be, and places that cannot be written to.
@Suite struct FileRefusalTests {
  private static let hostile: [([UInt8], String)] = [
    ([1, 2, 3], "is no safetensors file (3 bytes, 8 at least); copy or download it again"),
    (
      [255, 255, 255, 255, 255, 255, 255, 255, 0x7B],
      "is no safetensors file (a header of 18446744073709551615 bytes, at most 100000000 allowed); copy or download it again"
    ),
    (
      Array("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n".utf8),
      "is a Git LFS pointer, not the file itself; run `git lfs pull` in its repository"
    ),
    (
      safetensors("{\(tensor("a", "[1]", "[0,4]")), \(tensor("b", "[1]", "[2,6]"))}", 6),
      "tensor 'b' overlaps the tensor before it; save it again with a program that keeps to the format"
    ),
    (
      safetensors("{\(tensor("a", "[2]", "[0,8]"))}", 4),
      "tensor 'a' lies outside the file (data_offsets 0, 8 in 4 bytes of data); copy or download it again"
    ),
    (
      safetensors("{\(tensor("a", "[1]", "[0,4]")), \(tensor("a", "[1]", "[4,8]"))}", 8),
      "has a header that is not JSON (byte 69: duplicate key \"a\"); copy or download it again"
    ),
    (
      safetensors("{\(tensor("a", "[4294967296, 4294967296]", "[0,0]"))}", 0),
      "tensor 'a' has a shape whose product is too large; save it again with a program that keeps to the format"
    ),
  ]

  @Test(arguments: hostile)
  func hostileFilesAreRefusedEverywhere(_ bytes: [UInt8], _ message: String) async throws {
    let scratch = try Scratch()
    try scratch.put("bad/model.safetensors", bytes)
    try scratch.link("bad/config.json", to: Fixtures.run("llama-tiny/model/config.json"))
    try scratch.put("adapter/adapter_model.safetensors", bytes)
    try scratch.link("adapter/adapter_config.json", to: Fixtures.run("llama-tiny/lora/adapter_init/adapter_config.json"))
    try scratch.put("run.yaml", runText(["base_model: model": "base_model: bad"]))
    let (model, adapter) = ("bad/model.safetensors: \(message)", "adapter/adapter_model.safetensors: \(message)")
    let train = await scratch.peft("train", "@run.yaml")
    #expect(train.status == .badData && train.notes == "peft: error: run.yaml:1:13: base_model: \(model)\n", "\(train.notes)")
    try await scratch.expectRefusal(
      "eval", "--model", "@bad", "--data", "@tokens.safetensors", status: .badData, model)
    try await scratch.expectRefusal(
      "forward", "--model", "@model", "--inputs", "@bad/model.safetensors", "--out", "@out", status: .badData, model)
    try await scratch.expectRefusal(
      "merge", "--model", "@model", "--adapter", "@adapter", "--out", "@out", status: .badData, adapter)
    try await scratch.expectRefusal("inspect", "@adapter", status: .badData, adapter)
  }

  @Test func cutModelsAreRefused() async throws {
    let scratch = try Scratch()
    let whole = try MappedFile(scratch["model/model.safetensors"]).withBytes { Array($0) }
    try scratch.put("cut/model.safetensors", Array(whole.dropLast(100)))
    try scratch.link("cut/config.json", to: Fixtures.run("llama-tiny/model/config.json"))
    let outcome = await scratch.peft("eval", "--model", "@cut", "--data", "@tokens.safetensors")
    #expect(outcome.status == .badData && outcome.notes.contains("cut/model.safetensors: tensor '"), "\(outcome.notes)")
    #expect(outcome.notes.contains("lies outside the file") && outcome.notes.hasSuffix("copy or download it again\n"))
    try Folder.remove(scratch["cut/model.safetensors"])
    let missing = await scratch.peft("eval", "--model", "@cut", "--data", "@tokens.safetensors")
    #expect(missing.status == .missingInput && missing.notes.contains("cut: "), "\(missing.notes)")
  }

  @Test func adaptersAreWhole() async throws {
    let scratch = try Scratch()
    func refusal(_ adapter: String, _ message: String) async throws {
      try await scratch.expectRefusal(
        "eval", "--model", "@model", "--adapter", "@\(adapter)", "--data", "@tokens.safetensors", status: .missingInput,
        message)
    }
    try await refusal(
      "none", "none: there is no such directory; give a local adapter directory; nothing is fetched over the network")
    try await refusal("model", "model: has no adapter_config.json (it holds a model); give an adapter directory")
    let fixture = Fixtures.run("llama-tiny/lora/adapter_init")
    try scratch.link("half/adapter_config.json", to: fixture + "/adapter_config.json")
    try await refusal("half", "half: has no adapter_model.safetensors; copy it beside adapter_config.json")
    try scratch.link("broken/adapter_model.safetensors", to: fixture + "/adapter_model.safetensors")
    try scratch.put("broken/adapter_config.json", "{\"peft_type\": ")
    let broken = await scratch.peft(
      "eval", "--model", "@model", "--adapter", "@broken", "--data", "@tokens.safetensors")
    #expect(broken.status == .badData && broken.notes.hasPrefix("peft: error: broken/adapter_config.json"), "\(broken.notes)")
    try scratch.put("run.yaml", runText(["method: lora": "init_adapter: half\noptimizer: { lr: 1e-3 }"]))
    try await scratch.expectRefusal(
      "train", "@run.yaml", status: .missingInput,
      "half: has no adapter_model.safetensors; copy it beside adapter_config.json")
  }

  @Test func adaptersBelongToTheirBase() async throws {
    let scratch = try Scratch()
    try scratch.put("run.yaml", runText())
    #expect(await scratch.peft("train", "@run.yaml", "-q").status == .ok)
    var bytes = try MappedFile(scratch["model/model.safetensors"]).withBytes { Array($0) }
    bytes[bytes.count - 1] ^= 1
    try scratch.put("other/model.safetensors", bytes)
    try scratch.link("other/config.json", to: Fixtures.run("llama-tiny/model/config.json"))
    for arguments in [
      ["merge", "--out", "@merged"], ["export", "--out", "@merged"], ["eval", "--data", "@tokens.safetensors"],
      ["forward", "--inputs", try scratch.ids(), "--out", "@merged"],
    ] {
      let before = try scratch.listing
      let outcome = await scratch.peft(arguments + ["--model", "@other", "--adapter", "@out/adapter"])
      #expect(outcome.status == .badData)
      #expect(
        outcome.notes.hasPrefix("peft: error: out/adapter: the adapter was trained on another base than other (fingerprint "))
      #expect(outcome.notes.hasSuffix("; give the base it was trained on\n"))
      #expect(try scratch.listing == before)
    }
  }

  @Test func dataIsCheckedRowByRow() async throws {
    let scratch = try Scratch()
    try scratch.makeTextModel()
    let run = try runText(["base_model: model": "base_model: text", "tokens: tokens.safetensors": "train: rows.jsonl"])
    try scratch.put("run.yaml", run)
    for (rows, messages) in [
      ("", ["rows.jsonl: the file has no rows; give one JSON object a line"]),
      (
        "{\"text\": \"fine\"}\n{\"text\": 3}\n{\"prompt\"\n",
        ["rows.jsonl:2: \"text\" must be text", "rows.jsonl:3: not JSON: the document ends where ':' is expected (column 10)"]
      ),
    ] {
      try scratch.put("rows.jsonl", rows)
      let before = try scratch.listing
      let expected = messages.map { "peft: error: \($0)\n" }.joined()
      for arguments in [["train", "@run.yaml", "-q"], ["eval", "--model", "@text", "--data", "@rows.jsonl"]] {
        let outcome = await scratch.peft(arguments)
        #expect(outcome.status == .badData && outcome.notes == expected, "\(outcome.notes)")
      }
      #expect(try scratch.listing == before)
    }
  }

  @Test func tokenizersBelongToTheirModel() async throws {
    let scratch = try Scratch()
    try scratch.makeTextModel(vocabulary: 300)
    try scratch.put(
      "run.yaml", runText(["base_model: model": "base_model: text", "tokens: tokens.safetensors": "train: data.jsonl"]))
    let message =
      "text/tokenizer.json: knows 559 tokens, but the model's table has 512 rows; use the tokenizer.json that belongs to the model"
    try await scratch.expectRefusal("train", "@run.yaml", status: .badData, message)
    try await scratch.expectRefusal("generate", "--model", "@text", "--prompt", "a", status: .badData, message)
    try await scratch.expectRefusal(
      "generate", "--model", "@model", "--prompt", "a", status: .missingInput,
      "model/tokenizer.json: is missing: text cannot be turned into tokens; copy the tokenizer.json that belongs to the model")
  }

  @Test func idsAndLengthsAreTheModels() async throws {
    let scratch = try Scratch()
    let small = Fixtures.model("llama")
    try scratch.link("small", to: small)
    func ids(_ shape: [Int], _ id: Int) throws {
      try? Folder.remove(scratch["ids.safetensors"])
      let ids = [Int](repeating: id, count: shape.reduce(1, *))
      try SafetensorsWriter.write([.init(name: "input_ids", shape: shape, ints: ids)], to: scratch["ids.safetensors"])
    }
    try ids([1, 33], 5)
    try await scratch.expectRefusal(
      "forward", "--model", "@small", "--inputs", "@ids.safetensors", "--out", "@out", status: .badData,
      "small: a sequence of 33 tokens exceeds the model's 32 positions; shorten it, or lower max_seq_len")
    try ids([1, 3], 97)
    try await scratch.expectRefusal(
      "forward", "--model", "@small", "--inputs", "@ids.safetensors", "--out", "@out", status: .badData,
      "small: token id 97 is not in the model's vocabulary of 97; use the model's own tokenizer")
    try ids([1, 2, 33], 5)
    let run = try runText(["base_model: model": "base_model: small", "tokens.safetensors": "ids.safetensors"])
    try scratch.put("run.yaml", run)
    try await scratch.expectRefusal(
      "train", "@run.yaml", status: .badData,
      "ids.safetensors: holds sequences of 33 ids, but the model has 32 positions; make the file with shorter sequences")
    try await scratch.expectRefusal(
      "eval", "--model", "@small", "--data", "@ids.safetensors", status: .badData,
      "ids.safetensors: holds sequences of 33 ids, but the model has 32 positions; cut them with --max-length 32")
    try ids([1, 2, 5], -1)
    try await scratch.expectRefusal(
      "train", "@run.yaml", status: .badData,
      "ids.safetensors: input_ids holds the id -1, but the model knows ids 0 to 96")
    try scratch.makeTextModel()
    try await scratch.expectRefusal(
      "generate", "--model", "@text", "--prompt", String(repeating: "a", count: 513), status: .badData,
      "text: a sequence of 513 tokens exceeds the model's 512 positions; shorten it, or lower max_seq_len")
    try scratch.put(
      "run.yaml",
      runText([
        "base_model: model": "base_model: text", "tokens: tokens.safetensors": "train: data.jsonl, max_seq_len: 513",
      ]))
    try await scratch.expectRefusal(
      "train", "@run.yaml", status: .configuration,
      "run.yaml:3:41: data.max_seq_len is 513, but text has 512 positions; use at most 512")
  }

  @Test func overwritingDeletesNothingElse() async throws {
    let scratch = try Scratch()
    try scratch.put("run.yaml", runText())
    #expect(await scratch.peft("train", "@run.yaml", "-q").status == .ok)
    for name in ["config.json", "model.safetensors"] {
      try scratch.put("par/base/\(name)", MappedFile(scratch["model/\(name)"]).withBytes { Array($0) })
    }
    try scratch.put("par/notes.txt", "mine")
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
      try scratch.put("par/adapter/\(name)", MappedFile(scratch["out/adapter/\(name)"]).withBytes { Array($0) })
    }
    try scratch.put("on.yaml", runText(["method: lora": "init_adapter: par/adapter\noptimizer: { lr: 1e-4 }"]))
    let both = ["--model", "@par/base", "--adapter", "@par/adapter"]
    for command in [["merge"] + both, ["export"] + both, ["init", "@on.yaml"]] {
      for (out, why) in [
        ("par", "contains an input and is not replaced"), ("par/base", "is "), ("par/adapter", "is an input and is not replaced"),
        (
          "out", "is not replaced: it holds 'adapter', which is nothing that is written there; choose another name or remove it\n"
        ),
      ] {
        let before = try scratch.listing
        let outcome = await scratch.peft(command + ["--out", "@\(out)", "--overwrite"])
        #expect(outcome.status == .cannotCreate, "\(command) \(out)")
        #expect(outcome.notes.contains("peft: error: \(out): \(why)"), "\(outcome.notes)")
        #expect(try scratch.listing == before)
      }
      let made = "made-\(command[0])"
      #expect(await scratch.peft(command + ["--out", "@\(made)"]).status == .ok)
      #expect(await scratch.peft(command + ["--out", "@\(made)"]).status == .cannotCreate)
      #expect(await scratch.peft(command + ["--out", "@\(made)", "--overwrite"]).status == .ok)
      try scratch.put("\(made)/notes.txt", "mine")
      let refused = await scratch.peft(command + ["--out", "@\(made)", "--overwrite"])
      #expect(refused.status == .cannotCreate && refused.notes.contains("\(made): is not replaced: it holds 'notes.txt'"))
    }
    // A run says so before it trains.
    try scratch.put("on.yaml", runText(["method: lora": "init_adapter: out/adapter\noptimizer: { lr: 1e-4 }"]))
    try await scratch.expectRefusal(
      "train", "@on.yaml", "-q", "--overwrite", status: .cannotCreate,
      "out/adapter: is an input and is not replaced; write to another folder")
  }

  @Test func whatIsReadIsNotWrittenOver() async throws {
    let scratch = try Scratch()
    let ids = try scratch.ids()
    try scratch.put("own/config.json", MappedFile(scratch["model/config.json"]).withBytes { Array($0) })
    try scratch.put("own/model.safetensors", MappedFile(scratch["model/model.safetensors"]).withBytes { Array($0) })
    for out in [ids, scratch["own/model.safetensors"]] {
      let before = try SHA256.hex(ofFile: out)
      let outcome = await scratch.peft("forward", "--model", "@own", "--inputs", ids, "--out", out)
      #expect(outcome.status == .cannotCreate && outcome.notes.contains("is an input and is not replaced"), "\(outcome.notes)")
      #expect(try SHA256.hex(ofFile: out) == before)
    }
    // A run file may lie in the folder of its run, but for one that is called as the run's own.
    let text = try runText(["base_model: model": "base_model: ../model", "tokens: ": "tokens: ../", "_dir: out": "_dir: ."])
    try scratch.put("here/run.yaml", text)
    #expect(await scratch.peft("train", "@here/run.yaml", "-q").status == .ok)
    #expect(try TextFile.read(scratch["here/run.yaml"]) == text)
    try scratch.put("there/resolved.yaml", text)
    for flags in [[], ["--overwrite"]] {
      let outcome = await scratch.peft(["train", "@there/resolved.yaml"] + flags)
      #expect(outcome.status == .cannotCreate && outcome.notes.contains("resolved.yaml: is read by this run"), "\(outcome.notes)")
    }
    // Somebody else's file of that name.
    try scratch.put("out/metrics.jsonl", "mine")
    try scratch.put("run.yaml", runText())
    try await scratch.expectRefusal(
      "train", "@run.yaml", status: .cannotCreate,
      "out: holds `metrics.jsonl`, but no run; choose another output_dir, or begin anew with --overwrite")
  }

  @Test func resultsAreNotWrittenOverOthers() async throws {
    let scratch = try Scratch()
    let both = ["--model", "@model", "--adapter", Fixtures.run("llama-tiny/lora/adapter_final")]
    try scratch.put("taken/file", "mine")
    for command in ["merge", "export"] {
      let outcome = await scratch.peft([command, "--out", "@taken"] + both)
      #expect(outcome.status == .cannotCreate)
      #expect(outcome.notes.hasSuffix("peft: error: taken: exists already; choose another name or remove it\n"))
      #expect(try TextFile.read(scratch["taken/file"]) == "mine")
      #expect(await scratch.peft([command, "--out", "@taken/file"] + both).status == .cannotCreate)
      #expect(await scratch.peft([command, "--out", "@taken/file/more"] + both).status == .cannotCreate)
    }
    try await scratch.expectRefusal(
      "forward", "--model", "@model", "--inputs", try scratch.ids(), "--out", "@none/out", status: .cannotCreate,
      "none/out: cannot be created (No such file or directory); create the folder none first")
  }

  #if os(Linux)
    @Test func fullDisksAreNamed() async throws {
      let scratch = try Scratch()
      let arguments = ["forward", "--model", "@model", "--inputs", try scratch.ids(), "--out", "/dev/full"]
      let outcome = await scratch.peft(arguments)
      #expect(outcome.status == .io)
      #expect(outcome.notes.hasPrefix("peft: error: /dev/full: cannot be written: the disk is full ("), "\(outcome.notes)")
      #expect(!Folder.isFile("/dev/full"))
    }
  #endif
}
