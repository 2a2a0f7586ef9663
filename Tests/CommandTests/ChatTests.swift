import Files
import JSON
import PEFTCLI
import Testing

/// `chat`, on a model that says what random weights say: what counts is what it is asked, and when it ends.
@Suite struct ChatTests {
  private static let template =
    "{{ bos_token }}{% for m in messages %}{{ '[' + m['role'] + '] ' + m['content'] + '\\n' }}{% endfor %}"
    + "{% if add_generation_prompt %}{{ '[assistant] ' }}{% endif %}"

  private func scratch() throws -> Scratch {
    let scratch = try Scratch()
    try scratch.makeTextModel()
    try scratch.put(
      "text/tokenizer_config.json", (["bos_token": "<s>", "chat_template": .string(Self.template)] as JSON).text())
    return scratch
  }

  private func answers(_ outcome: Outcome) throws -> [JSON] {
    try outcome.printed.split(separator: "\n").map { try JSON(parsing: String($0)) }
  }

  @Test func everyTurnIsWhatThePlainTextGives() async throws {
    let scratch = try scratch()
    let outcome = await scratch.peft(
      "chat", "--model", "@text", "--system", "Be brief.", "--message", "Hello", "--message", "And?", "-n", "8", "--json")
    #expect(outcome.status == .ok, "\(outcome.notes)")
    let answers = try answers(outcome)
    #expect(answers.count == 2)
    // The same by hand, without what was kept from the first turn.
    var text = "<s>[system] Be brief.\n[user] Hello\n[assistant] "
    for (index, answer) in answers.enumerated() {
      let plain = try await scratch.peft("generate", "--model", "@text", "--prompt", text, "-n", "8", "--stop", "\n[user] ", "--json").json()
      #expect(answer["text"] == plain["text"])
      #expect(answer["prompt_tokens"]?.int == plain["prompt_ids"]?.array?.count)
      #expect(answer["end"] == "length" && answer["tokens"] == 8 && answer["adapter"] == .null)
      if index == 0 { text += (answer["text"]?.string ?? "") + "\n[user] And?\n[assistant] " }
    }
  }

  @Test func anAnswerEndsAtAStopText() async throws {
    let scratch = try scratch()
    let command = ["chat", "--model", "@text", "--message", "Hello", "-n", "12", "--json"]
    let whole = try #require(try answers(await scratch.peft(command))[0]["text"]?.string)
    let stop = String(Array(whole)[4])
    let cut = try answers(await scratch.peft(command + ["--stop", stop]))[0]
    #expect(cut["text"]?.string == whole.split(separator: stop, omittingEmptySubsequences: false).first.map(String.init))
    #expect(cut["end"] == "stop")
  }

  @Test func aConversationNeedsATemplate() async throws {
    let scratch = try Scratch()
    try scratch.makeTextModel()
    try await scratch.expectRefusal(
      "chat", "--model", "@text", "--message", "Hello", status: .missingInput,
      "text: has no chat template: how a conversation is written for this model is not known; give one with --chat-template, or continue "
        + "plain text with `peft generate`")
    try scratch.put("plain.jinja", Self.template)
    let outcome = await scratch.peft(
      "chat", "--model", "@text", "--message", "Hello", "--chat-template", "@plain.jinja", "-n", "3", "--json")
    #expect(outcome.status == .ok, "\(outcome.notes)")
  }

  @Test func whatDoesNotFitIsRefused() async throws {
    let scratch = try scratch()
    let outcome = await scratch.peft("chat", "--model", "@text", "--message", String(repeating: "a", count: 600))
    #expect(outcome.status == .badData)
    #expect(outcome.notes.contains("the model 512 positions; take back a turn, or begin anew"))
  }
}
