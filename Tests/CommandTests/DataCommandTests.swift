import Files
import JSON
import PEFTCLI
import Testing

/// `peft data`, and runs that learn from conversations.
@Suite struct DataCommandTests {
  private static let chatML =
    "{% for message in messages %}{{ '<s>' + message['role'] + '\\n' + message['content'] + '</s>\\n' }}{% endfor %}"
    + "{% if add_generation_prompt %}{{ '<s>assistant\\n' }}{% endif %}"

  private static let talk = #"{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Yo\n"}]}"# + "\n"

  private func scratch(_ rows: String, template: String? = chatML, data: String = "") throws -> Scratch {
    let scratch = try Scratch()
    try scratch.makeTextModel()
    try scratch.put("rows.jsonl", rows)
    if let template {
      try scratch.put("text/tokenizer_config.json", (["chat_template": .string(template)] as JSON).text())
    }
    let run = try runText(["base_model: model": "base_model: text", "tokens: tokens.safetensors": "train: rows.jsonl\(data)"])
    try scratch.put("run.yaml", run)
    return scratch
  }

  @Test func showsTokensWithTheirMask() async throws {
    let scratch = try scratch(Self.talk)
    let shown = await scratch.peft("data", "show", "@run.yaml")
    #expect(shown.status == .ok)
    let lines = shown.printed.split(separator: "\n").map(String.init)
    #expect(lines.first == "row 1  rows.jsonl:1  26 tokens, 5 learned")
    #expect(lines.count == 27)
    #expect(lines[1] == " 0    1     \"<s>\"")
    // The newline behind the header is given, what the assistant writes is learned, its end of turn included.
    #expect(lines[21] == "20   13     \"\\n\"")
    #expect(lines[22] == "21   92  +  \"Y\"" && lines[24] == "23   13  +  \"\\n\"" && lines[25] == "24    2  +  \"</s>\"")
    let object = try await scratch.peft("data", "show", "@run.yaml", "--json").json()
    #expect(object["learned"]?.array?.compactMap(\.int) == [Int](repeating: 0, count: 21) + [1, 1, 1, 1, 1])
    #expect(object["place"] == "rows.jsonl:1")
  }

  @Test func showsTheRowThatIsMeant() async throws {
    let rows = (1...9).map { "{\"prompt\": \"a\", \"completion\": \"\($0)\"}\n" }.joined(separator: "\n")
    let scratch = try scratch(rows, data: ", split: { valid: 0.25, seed: 1 }")
    let first = await scratch.peft("data", "show", "@run.yaml", "-n", "2")
    #expect(first.printed.split(separator: "\n").count { $0.hasPrefix("row ") } == 2)
    let third = await scratch.peft("data", "show", "@run.yaml", "--row", "3")
    #expect(third.printed.hasPrefix("row 3  rows.jsonl:"))
    #expect(third.printed.split(separator: "\n").count { $0.hasPrefix("row ") } == 1)
    let valid = await scratch.peft("data", "show", "@run.yaml", "--part", "valid")
    #expect(valid.printed.split(separator: "\n").count { $0.hasPrefix("row ") } == 2)
    try await scratch.expectRefusal(
      "data", "show", "@run.yaml", "--row", "30", status: .usage, "--row 30: the part has 7 rows to learn from")
    try await scratch.expectRefusal(
      "data", "show", "@run.yaml", "--part", "test", status: .usage, "the run has no part test; it has train, valid")
  }

  @Test func checksEveryRow() async throws {
    let rows =
      Self.talk + "{\"text\": 3}\n" + Self.talk + #"{"messages": [{"role": "user", "content": "a"}]}"# + "\n{\n"
      + #"{"text": "a", "label": "b"}"# + "\n"
    let scratch = try scratch(rows)
    let messages = [
      "rows.jsonl:2: \"text\" must be text",
      "rows.jsonl:4: \"messages\" has no turn of the assistant: nothing to learn",
      "rows.jsonl:5: not JSON: expected a key in quotes (column 2)",
      "rows.jsonl:6: the row has a \"label\": to learn it, set task to sequence_classification; to learn the text as such, set "
        + "data.format to text",
    ]
    let run = await scratch.peft("data", "check", "@run.yaml")
    #expect(run.status == .badData && run.notes.isEmpty)
    let lines = run.printed.split(separator: "\n").map(String.init)
    #expect(Array(lines.prefix(4)) == messages)
    #expect(lines.contains("train  rows.jsonl"))
    #expect(lines.contains { $0.hasPrefix("  rows") && $0.hasSuffix("6 (messages 2, label 1)") }, "\(run.printed)")
    #expect(
      lines.contains { $0.hasPrefix("  tokens  ") && $0.hasSuffix("52, of which 10 are learned (19.2 %)") }, "\(run.printed)")
    #expect(lines.contains { $0.hasPrefix("  bad rows") && $0.hasSuffix("4") })

    // A file by itself: rows without a model, tokens with one.
    let file = await scratch.peft("data", "check", "@rows.jsonl")
    #expect(
      file.status == .badData && file.printed.split(separator: "\n").prefix(3).map(String.init) == Array(messages.prefix(3)))
    let object = try await scratch.peft("data", "check", "@rows.jsonl", "--model", "@text", "--json").json()
    let part = try #require(object["parts"]?.array?.first)
    #expect(part["bad"]?.array?.compactMap { $0["line"]?.int } == [2, 4, 5, 6])
    #expect(part["lengths"]?["max"] == 26 && part["rows"] == 6)
    // Training says the same of the rows it cannot read.
    let trained = await scratch.peft("train", "@run.yaml", "-q")
    #expect(trained.status == .badData)
    #expect(trained.notes == messages.prefix(3).map { "peft: error: \($0)\n" }.joined())
  }

  @Test func soundDataIsSaidToBe() async throws {
    let long = #"{"prompt": "\#(String(repeating: "long ", count: 20))", "completion": "x"}"# + "\n"
    let scratch = try scratch(Self.talk + long + Self.talk, data: ", max_seq_len: 25")
    let check = await scratch.peft("data", "check", "@run.yaml")
    #expect(check.status == .ok)
    #expect(check.printed.contains("3 (messages 2, prompt 1)") && check.printed.contains("line 1, 2, 3"), "\(check.printed)")
    #expect(check.printed.contains("1: line 2"), "\(check.printed)")
    #expect(await scratch.peft("data", "check", "@rows.jsonl").status == .ok)
    try await scratch.expectRefusal(
      "data", "check", "@none.jsonl", status: .missingInput, "none.jsonl: cannot be read (No such file or directory)")
    try scratch.put("empty.jsonl", "\n")
    try await scratch.expectRefusal(
      "data", "check", "@empty.jsonl", status: .badData, "empty.jsonl: the file has no rows; give one JSON object a line")
  }

  @Test func learnsFromConversations() async throws {
    let scratch = try scratch(String(repeating: Self.talk, count: 20))
    try scratch.put("run.yaml", TextFile.read(scratch["run.yaml"]) + "samples: { prompts: [hi], max_new_tokens: 3 }\n")
    let outcome = await scratch.peft("train", "@run.yaml")
    #expect(outcome.status == .ok, "\(outcome.notes)")
    #expect(
      outcome.printed.contains("generate --model text") && outcome.printed.contains("--chat --prompt"), "\(outcome.printed)")
    let generated = await scratch.peft("generate", "--model", "@text", "--prompt", "hi", "--chat", "-n", "2", "--json")
    #expect(try generated.json()["prompt_ids"]?.array?.count == 21, "\(generated.notes)")
  }

  @Test func aTemplateMayStandInTheRunFile() async throws {
    let template = #", chat_template: { begin: "<s>", user: { after: "\n" }, assistant: { before: "> ", after: "</s>" } }"#
    let scratch = try scratch(Self.talk, template: "{% include 'x' %}", data: template)
    let object = try await scratch.peft("data", "show", "@run.yaml", "--json").json()
    #expect(object["tokens"]?.array?.compactMap(\.string).joined() == "<s>hi\n> Yo\n</s>")
    #expect(object["learned"]?.array?.compactMap(\.int) == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
  }

  @Test func templatesThatCannotBeUsedAreNamed() async throws {
    let unknown = try scratch(Self.talk, template: "\n{% include 'x' %}")
    for command in [["train", "@run.yaml", "-q"], ["data", "check", "@run.yaml"]] {
      let outcome = await unknown.peft(command)
      #expect(outcome.status == .badData)
      #expect(
        outcome.notes
          == "peft: error: text/tokenizer_config.json: the chat template cannot be used (line 2 of the template: the block {% include %} "
          + "is not supported); say in data.chat_template what stands before and after a turn of each role\n")
    }
    let none = try scratch(Self.talk, template: nil)
    let outcome = await none.peft("train", "@run.yaml", "-q")
    #expect(
      outcome.notes
        == "peft: error: rows.jsonl:1: the row is a conversation, but the model has no chat template; give data.chat_template\n")
    let refused = try scratch(Self.talk, template: "{{ raise_exception('Only poems!') }}")
    let second = await refused.peft("train", "@run.yaml", "-q")
    #expect(
      second.notes == "peft: error: rows.jsonl:1: the chat template gives no text for it: line 1 of the template: Only poems!\n")
    // A template that nobody needs may be what it likes.
    let plain = try scratch(#"{"prompt": "a", "completion": "b"}"# + "\n", template: "{% include 'x' %}")
    #expect(await plain.peft("data", "check", "@run.yaml").status == .ok)
    // Beside the model, a template of its own file comes first.
    try refused.put("text/chat_template.jinja", Self.chatML)
    #expect(await refused.peft("data", "check", "@run.yaml").status == .ok)
  }
}
