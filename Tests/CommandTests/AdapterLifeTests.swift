import Files
import JSON
import PEFTCLI
import Testing

/// Several adapters by name, their sums, and what becomes of merges.
@Suite struct AdapterLifeTests {
  /// `one` and `two`, LoRA and Uni-LoRA, on the scratch folder's model.
  private func trained() async throws -> Scratch {
    let scratch = try Scratch()
    for (name, method) in [("one", "{ use: lora, rank: 2 }"), ("two", "{ use: uni-lora, rank: 2 }")] {
      try scratch.put(
        "\(name).yaml",
        runText(["method: lora": "method: \(method)\noptimizer: { lr: 0.02 }", "output_dir: out": "output_dir: \(name)"]))
      #expect(await scratch.peft("train", "@\(name).yaml", "-q").status == .ok)
    }
    return scratch
  }

  private func pair(_ scratch: Scratch) -> [String] {
    ["--model", "@model", "--adapter", "one=\(scratch["one/adapter"])", "--adapter", "two=\(scratch["two/adapter"])"]
  }

  @Test func severalAdaptersAreUsedByName() async throws {
    let scratch = try await trained()
    func loss(_ arguments: String...) async throws -> Double {
      try #require(
        try await scratch.peft(["eval", "--data", "@tokens.safetensors", "--json"] + arguments).json()["loss"]?.double)
    }
    let alone = try await [
      loss("--model", "@model"), loss("--model", "@model", "--adapter", "@one/adapter"),
      loss("--model", "@model", "--adapter", "@two/adapter"),
    ]
    #expect(Set(alone).count == 3)
    let table = try await scratch.peft(["eval", "--data", "@tokens.safetensors", "--json"] + pair(scratch)).json()
    let rows = try #require(table["results"]?.array)
    #expect(rows.compactMap { $0["adapter"]?.string } == ["base", "one", "two"])
    #expect(rows.compactMap { $0["loss"]?.double } == alone)
    for (name, expected) in zip(["base", "one", "two"], alone) {
      let report = try await scratch.peft(["eval", "--data", "@tokens.safetensors", "--json", "--use", name] + pair(scratch))
        .json()
      #expect(report["loss"]?.double == expected)
    }
    let shown = await scratch.peft(["eval", "--data", "@tokens.safetensors"] + pair(scratch))
    #expect(shown.printed.hasPrefix("adapter  ") && shown.printed.contains("\none ") && shown.printed.contains("\nbase "))
    let ids = try scratch.ids()
    // Where one is meant, it must be said which.
    let forward = ["forward", "--inputs", ids, "--out", "@out.safetensors"] + pair(scratch)
    let ambiguous = await scratch.peft(forward)
    #expect(ambiguous.status == .usage)
    #expect(ambiguous.notes == "peft: error: there are 2 adapters; say which is used: --use one, --use two, --use base\n")
    let unknown = await scratch.peft(forward + ["--use", "tow"])
    #expect(unknown.status == .usage)
    #expect(unknown.notes.hasSuffix("peft: error: --use: there is no adapter `tow`; did you mean `two`?\n"))
    #expect(await scratch.peft(forward + ["--use", "two"]).status == .ok)
    let twice = await scratch.peft(
      "eval", "--data", "@tokens.safetensors", "--model", "@model", "--adapter", "@one/adapter", "--adapter", "@two/adapter")
    #expect(twice.status == .usage && twice.notes.contains("two adapters are called `adapter`; give each a name of its own"))
  }

  @Test func sumsAreAsTheirWeightsSay() async throws {
    let scratch = try await trained()
    let combine = ["combine", "--out", "@sum", "--weights", "one=1,two=-0.5", "--json"] + pair(scratch)
    let report = try await scratch.peft(combine).json()
    #expect(report["exact"] == true && report["error"]?.double == 0)
    let again = await scratch.peft(combine)
    #expect(again.status == .cannotCreate && again.notes.contains("exists already"))
    // One adapter of the sum plus half of the second is the first.
    let back = await scratch.peft(
      "combine", "--model", "@model", "--adapter", "sum=\(scratch["sum"])", "--adapter", "two=\(scratch["two/adapter"])",
      "--weights", "sum=1, two=0.5", "--out", "@back")
    #expect(back.status == .ok && back.printed.contains("exact") && back.printed.contains("adapter: "), "\(back.notes)")
    for (name, adapter) in [("first", "one/adapter"), ("back", "back")] {
      let outcome = await scratch.peft(
        "forward", "--inputs", try scratch.ids(), "--out", "@\(name).safetensors", "--model", "@model", "--adapter", "@\(adapter)"
      )
      #expect(outcome.status == .ok)
    }
    #expect(try difference("logits", scratch["first.safetensors"], scratch["back.safetensors"]) < 2e-5)
    let cut = try await scratch.peft(
      ["combine", "--out", "@cut", "--rank", "1", "--json"] + pair(scratch)
    ).json()
    #expect(cut["exact"] == false && (cut["error"]?.double ?? 0) > 0)
    #expect(cut["sites"]?.array?.allSatisfy { $0["rank"]?.int == 1 } == true)
    #expect((cut["worst"]?["error"]?.double ?? 0) >= (cut["error"]?.double ?? 1))
  }

  @Test(arguments: [
    ("one=1", "--weights: there is no weight for `two`; write `two=0` to leave it out"),
    ("one=1,twoo=1", "--weights: there is no adapter `twoo`; did you mean `two`?"),
    ("one=0,two=0", "--weights: every weight is 0, so nothing is left of the adapters; use the base"),
    ("one=1,two=x", "--weights: `two=x` is no `name=number`"), ("one=1,one=2", "--weights: `one` has two weights"),
    ("one=inf,two=1", "--weights: `one=inf` is no `name=number`"),
  ])
  func weightsAreReadStrictly(_ weights: String, _ said: String) async throws {
    let scratch = try await trained()
    let before = try scratch.listing
    let outcome = await scratch.peft(["combine", "--out", "@sum", "--weights", weights] + pair(scratch))
    #expect(outcome.status == .usage && outcome.notes.contains(said), "\(outcome.notes)")
    #expect(try scratch.listing == before)
  }

  @Test func whatWasTrainedOnAnotherBaseIsNoTermOfASum() async throws {
    let scratch = try await trained()
    let outcome = await scratch.peft(
      "combine", "--out", "@sum", "--model", Fixtures.run("llama-tiny/full/adapter_init"), "--adapter",
      "one=\(scratch["one/adapter"])")
    if outcome.status == .ok { return }  // The fixture is the same base.
    #expect(outcome.status == .badData && outcome.notes.contains("was trained on another base"), "\(outcome.notes)")
  }

  @Test func mergesSayHowNearTheyAreAndCanBeUndone() async throws {
    let scratch = try await trained()
    let both = ["--model", "@model", "--adapter", "@one/adapter"]
    let merged = try await scratch.peft(["merge", "--out", "@merged", "--json"] + both).json()
    let logits = try #require(merged["logits"])
    #expect((logits["largest_difference"]?.double ?? 1) < 2e-5 && (logits["largest_logit"]?.double ?? 0) > 0)
    #expect(logits["on"]?.string == "random ids" && (logits["positions"]?.int ?? 0) > 0)
    let shown = await scratch.peft(["merge", "--out", "@again"] + both)
    #expect(shown.printed.contains("largest difference of a logit: ") && shown.printed.contains("random ids"))
    let unchecked = await scratch.peft(["merge", "--out", "@third", "--no-check"] + both)
    #expect(unchecked.status == .ok && !unchecked.printed.contains("logit"))
    let checked = await scratch.peft("unmerge", "@merged")
    #expect(checked.status == .ok && checked.printed.contains("is what"), "\(checked.notes)")
    #expect(checked.printed.contains("one/adapter"))
    #expect(await scratch.peft("unmerge", "@merged", "--out", "@base").status == .ok)
    for name in ["config.json", "model.safetensors"] {
      let (a, b) = (try MappedFile(scratch["base/\(name)"]), try MappedFile(scratch["model/\(name)"]))
      #expect(a.withBytes { Array($0) } == b.withBytes { Array($0) })
    }
    // With the two replaced, merging again writes what was there.
    #expect(await scratch.peft(["merge", "--out", "@merged", "--overwrite"] + both).status == .ok)
    try await scratch.expectRefusal(
      "unmerge", "@model", status: .missingInput,
      "model: has no merge_record.json (no merge wrote this directory); give a directory that `merge` wrote")
  }
}
