import Files
import JSON
import PEFTCLI
import Testing

/// `eval --exact-match`, on a tiny model that was taught one answer.
@Suite struct ExactMatchTests {
  /// `out/adapter`, trained on `data.jsonl` until it says `#### 7`; `other.jsonl` wants the same number in other writing, and another one.
  private func taught() async throws -> Scratch {
    let scratch = try Scratch()
    try scratch.makeTextModel()
    try scratch.put("data.jsonl", (0..<4).map { row("Q\($0)?", "#### 7") }.joined())
    try scratch.put("other.jsonl", row("Q0?", "Three and four.\n#### $7.00") + row("Q1?", "#### 8") + row("Q2?", "#### 07"))
    try scratch.put(
      "run.yaml",
      """
      base_model: text
      method: { use: lora, rank: 16, alpha: 32 }
      target_modules: all-linear
      modules_to_save: [lm_head]
      data: { train: data.jsonl }
      optimizer: { lr: 1e-2 }
      steps: 60
      batch_size: 4
      output_dir: out

      """)
    let outcome = await scratch.peft("train", "@run.yaml", "-q")
    try #require(outcome.status == .ok, "\(outcome.notes)")
    return scratch
  }

  private func row(_ prompt: String, _ completion: String) -> String {
    (["prompt": .string(prompt), "completion": .string(completion)] as JSON).text() + "\n"
  }

  @Test func answersAreComparedByTheirNumbers() async throws {
    let scratch = try await taught()
    let command = ["eval", "--model", "@text", "--adapter", "@out/adapter", "--data", "@other.jsonl", "--exact-match"]
    let report = try await scratch.peft(command + ["--max-new-tokens", "12", "--json"]).json()
    #expect(report.members?.map(\.key) == ["loss", "perplexity", "tokens", "examples", "exact_match"])
    let match = try #require(report["exact_match"])
    #expect(match["matched"] == 2 && match["asked"] == 3 && match["unanswered"] == 0, "\(report.text())")
    #expect(match["examples"]?.array?.compactMap { $0["line"]?.int } == [1, 2, 3])
    #expect(match["examples"]?.array?[0]["text"] == "#### 7" && match["examples"]?.array?[0]["expected"] == "7")
    #expect(match["examples"]?.array?[1]["matched"] == false)
    // Without the question, all is as before.
    let plain = try await scratch.peft(Array(command.dropLast()) + ["--json"]).json()
    #expect(plain == .object(report.members?.filter { $0.key != "exact_match" } ?? []))

    let shown = await scratch.peft(command + ["--max-new-tokens", "12", "--limit", "2"])
    #expect(shown.status == .ok && shown.notes.isEmpty, "\(shown.notes)")
    let lines = shown.printed.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    #expect(
      Array(lines.dropFirst(3)) == [
        "exact match 1 of 2 (50 %)", "", "line 1  right", "  wanted  7", "  got     7", "", "line 2  wrong", "  wanted  8",
        "  got     7", "",
      ])
    // An answer that is cut short is none.
    let short = try await scratch.peft(command + ["--max-new-tokens", "3", "--json"]).json()
    #expect(short["exact_match"]?["unanswered"] == 3 && short["exact_match"]?["matched"] == 0)
  }

  @Test func everyAdapterIsAsked() async throws {
    let scratch = try await taught()
    let command = [
      "eval", "--model", "@text", "--adapter", "taught=\(scratch["out/adapter"])", "--adapter", "again=\(scratch["out/adapter"])",
      "--data", "@data.jsonl", "--exact-match", "--max-new-tokens", "12", "--limit", "2",
    ]
    let rows = try #require(try await scratch.peft(command + ["--json"]).json()["results"]?.array)
    #expect(rows.compactMap { $0["adapter"]?.string } == ["base", "taught", "again"])
    #expect(rows.compactMap { $0["exact_match"]?["matched"]?.int } == [0, 2, 2])
    #expect(rows.compactMap { $0["exact_match"]?["asked"]?.int } == [2, 2, 2])
    let lines = await scratch.peft(command).printed.split(separator: "\n").map(String.init)
    #expect(lines[0].hasPrefix("adapter ") && lines[0].hasSuffix("   exact match"), "\(lines)")
    #expect(lines[1].hasSuffix("    0 of 2 (0 %)") && lines[2].hasSuffix("  2 of 2 (100 %)"), "\(lines)")
    let one = try await scratch.peft(command + ["--use", "taught", "--json"]).json()
    #expect(one["exact_match"] == rows[1]["exact_match"])
  }

  @Test func whatCannotBeAskedIsRefused() async throws {
    let scratch = try Scratch()
    try scratch.makeTextModel()
    try await scratch.expectRefusal(
      "eval", "--model", "@model", "--data", "@tokens.safetensors", "--exact-match", status: .badData,
      "tokens.safetensors: holds token ids, not questions with answers; give rows of text")
    try scratch.put("texts.jsonl", "{\"text\": \"a\"}\n\n" + row("a", "b"))
    try await scratch.expectRefusal(
      "eval", "--model", "@text", "--data", "@texts.jsonl", "--exact-match", status: .badData,
      "texts.jsonl:1: the row is a text without a question: an answer needs a prompt, or a conversation")
    for (arguments, message) in [
      (["--limit", "3"], "--limit belongs to --exact-match"),
      (["--max-new-tokens", "3"], "--max-new-tokens belongs to --exact-match"),
      (["--exact-match", "--limit", "0"], "--limit must be at least 1"),
      (["--exact-match", "--max-new-tokens", "0"], "--max-new-tokens must be at least 1"),
    ] {
      let outcome = await scratch.peft(["eval", "--model", "@text", "--data", "@data.jsonl"] + arguments)
      #expect(outcome.status == .usage && outcome.notes.contains(message), "\(outcome.notes)")
    }
  }
}
