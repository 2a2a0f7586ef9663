import ChatTemplates
import Files
import JSON
import Models
import Registry
import Testing
import Tokenization

@testable import Training

/// What counts as the data's own answer, and how a model is asked for it.
@Suite struct ExactMatchTests {
  @Test(arguments: [
    ("So it is 3 + 4 = 7.\n#### 7", "7"), ("#### 1,234", "1234"), ("#### $1,234,567.50", "1234567.5"), ("####7", "7"),
    ("#### 12.", "12"), ("#### 12.00", "12"), ("#### 0012", "12"), ("#### 000", "0"), ("#### -0.0", "0"), ("#### .50", "0.5"),
    ("#### -$5", "-5"), ("#### $-5", "-5"), ("#### $ 5", "5"), ("#### \u{2212}5", "-5"), ("#### +5", "5"),
    ("#### 5 apples", "5"), ("#### 50%", "50"), ("#### 3, 4", "3"), ("#### 3,", "3"), ("####   8  ", "8"), ("#### 8\r\nso", "8"),
    ("#### - 5 -", "-5"), ("#### 1\n#### 2", "2"), ("#### 1\n#### 2\nand more", "2"), ("##### 6", "6"), ("### 1 #### 2 ###", "2"),
    ("#### 100000000000000000000000000000001.10", "100000000000000000000000000000001.1"),
    // No number: the line itself.
    ("#### (B)", "(B)"), ("####\t north-west \n", "north-west"), ("#### --5", "--5"), ("#### $", "$"),
    ("#### ,5", ",5"), ("#### ٣", "٣"),
  ])
  func findsTheAnswer(_ text: String, _ expected: String) { #expect(FinalAnswer(in: text)?.text == expected) }

  @Test(arguments: ["", "42", "### 42", "# # # # 42", "####", "####  \n42", "#### 1\n####"])
  func findsNone(_ text: String) { #expect(FinalAnswer(in: text) == nil) }

  /// Time in proportion to the length, whatever is written.
  @Test func longTextsAreReadOnce() {
    let signs = String(repeating: "#", count: 1 << 16)
    #expect(FinalAnswer(in: signs + " 1")?.text == "1" && FinalAnswer(in: signs) == nil)
    #expect(FinalAnswer(in: "#### " + String(repeating: "1,", count: 1 << 16))?.text.utf8.count == 1 << 16)
    #expect(FinalAnswer(in: "#### " + String(repeating: "$", count: 1 << 16) + "7")?.text == "7")
  }

  private func count(_ pairs: [(reference: String, generated: String?)], kept: Int = 9) -> ExactMatch {
    var result = ExactMatch(kept: kept)
    for (index, pair) in pairs.enumerated() {
      result.add(Question(line: index + 1, prompt: [1], reference: pair.reference, isTurn: false), pair.generated)
    }
    return result
  }

  @Test func countsWhatMatches() {
    let result = count([
      ("3 · 20 = 60\n#### 60", "It is\n#### $60.00"), ("#### 60", "#### 61"), ("#### 60", "The answer is 60."),
      ("#### 60", "#### sixty"), ("#### 60", nil), (" Amen.\n", "Amen. "), ("Amen.", "amen."), ("Amen.", " \n"),
      ("caf\u{E9}", "cafe\u{301}"), ("60", "#### 60"),
    ])
    #expect(result.asked == 10 && result.matched == 2 && result.unanswered == 3 && result.tooLong == 1)
    #expect(result.share == 0.2 && ExactMatch().share == 0)
    #expect(
      result.examples.count == 9
        && result.examples.map(\.isMatch) == [true] + [false, false, false, false] + [
          true, false, false, false,
        ])
    #expect(
      result.examples.map(\.given) == [
        "60", "61", nil, "sixty", nil, "Amen.", "amen.", nil, "cafe\u{301}",
      ])
    #expect(result.examples[0].wanted == "60" && result.examples[6].wanted == "Amen.")
    let json = count([("#### 60", "So.\n#### 6 0")], kept: 1).json
    #expect(json.members?.map(\.key) == ["matched", "asked", "share", "unanswered", "too_long", "examples"])
    #expect(
      json["examples"]?.array?[0]
        == ["line": 1, "matched": false, "expected": "60", "answer": "6", "text": "So.\n#### 6 0"])
  }

  // MARK: Questions

  private func tokenizer() throws -> Tokenizer {
    try Tokenizer(json: TextFile.readJSON(ChatDataTests.scripture + "/tokenizer.json"))
  }

  private func encoder(_ template: String? = nil) throws -> Encoder {
    let jinja = try template.map { try TextFile.read("\(ChatDataTests.templates)/\($0).jinja") }
    return Encoder(
      tokenizer: try tokenizer(), endOfText: 0,
      template: try jinja.map {
        try ChatTemplate(jinja: $0, variables: [.init("bos_token", "<s>"), .init("eos_token", "</s>")])
      },
      maximumLength: 512)
  }

  private static let talk = Conversation([
    ("user", "Who was first?"), ("assistant", "Adam."), ("user", "And then?"), ("assistant", "Eve."),
  ])

  /// A question is what stands before the learned ids of the same row.
  @Test func rowsAreAskedAsTheyAreLearned() throws {
    let row = DataRow.Instruction(instruction: "Who?", input: "In the garden.", output: "Eve.", system: nil, history: [])
    for (template, content) in [
      (nil, .prompt("Who was first?", completion: "Eve.")), (nil, .instruction(row)), ("chatml", .instruction(row)),
      ("chatml", .conversation(Self.talk, from: 0)), ("chatml", .conversation(Self.talk, from: 2)),
    ] as [(String?, DataRow.Content)] {
      let encoder = try encoder(template)
      let question = try encoder.question(DataRow(line: 7, content))
      let example = try encoder.whole(content)
      let start = try #require(example.learned.last).lowerBound
      #expect(question.prompt == Array(example.ids[..<start]), "\(content)")
      #expect(question.line == 7 && question.reference == "Eve." && question.isTurn == (template != nil))
    }
    // An answer that was weighed out is none to ask for.
    var weighed = Self.talk
    weighed.messages[3] = ["role": "assistant", "content": "Eve.", "weight": 0]
    let question = try encoder("chatml").question(DataRow(.conversation(weighed, from: 0)))
    #expect(question.reference == "Adam.")
  }

  @Test func rowsThatAskNothingAreNamed() throws {
    let model = try ModelLoader.load(ChatDataTests.scripture)
    let alpaca = DataRow.Instruction(instruction: "a", input: "", output: "b", system: "s", history: [])
    let call = Conversation(messages: [
      ["role": "user", "content": "a"], ["role": "assistant", "content": .null, "tool_calls": [["function": ["name": "f"]]]],
    ])
    var silent = Self.talk
    for index in [1, 3] { silent.messages[index] = ["role": "assistant", "content": "x", "weight": 0] }
    let rows: [DataRow.Content] = [
      .text("a"), .labelled("a", label: "b"), .conversation(Self.talk, from: 0), .instruction(alpaca),
      .prompt("a", completion: " \n"),
    ]
    do {
      _ = try QuestionSet(rows.enumerated().map { DataRow(line: $0 + 1, $1) }, of: "f", encoder(), for: model)
      Issue.record("nothing was refused")
    } catch let error as DataErrors {
      #expect(
        error.messages == [
          "f:1: the row is a text without a question: an answer needs a prompt, or a conversation",
          "f:2: the row is a text without a question: an answer needs a prompt, or a conversation",
          "f:3: the row is a conversation, but the model has no chat template",
          "f:4: \"system\" needs a chat template, and the model has none; give data.chat_template",
          "f:5: the answer is blank: nothing to compare with",
        ])
    }
    let chat = try encoder("chatml")
    let others: [DataRow.Content] = [.conversation(call, from: 0), .conversation(silent, from: 0)]
    do {
      _ = try QuestionSet(others.map { DataRow(line: 3, $0) }, of: "f", chat, for: model)
      Issue.record("nothing was refused")
    } catch let error as DataErrors {
      #expect(
        error.messages == [
          "f:3: the assistant's last turn has no text to compare with",
          "f:3: no answer of the assistant counts: nothing to ask for",
        ])
    }
  }

  // MARK: Asking

  /// What a model says when it is asked by hand is what it says here.
  @Test func aModelMatchesItself() throws {
    let model = try ModelLoader.load(ChatDataTests.scripture)
    let tokenizer = try tokenizer()
    func said(_ prompt: [Int], _ count: Int) throws -> String {
      let generator = try TokenGenerator(model, prompt: prompt.map { Int32($0) }, maximumTokens: count, stopIDs: [0])
      var (tokens, ids) = (generator.makeIterator(), [Int]())
      while let id = tokens.next() { ids.append(Int(id)) }
      return tokenizer.decode(ids)
    }
    let prompts = ["In the beginning", "And Moses said", "Blessed are the"]
    let answers = try prompts.map { try said(tokenizer.encode($0 + "\n"), 10) }
    try #require(answers.allSatisfy { !$0.trimmingBlanks.isEmpty })
    let rows = zip(prompts, answers).enumerated().map { index, row in
      DataRow(line: index + 1, .prompt(row.0, completion: index == 1 ? row.1 + "!" : row.1))
    }
    let set = try QuestionSet(rows, of: "f", encoder(), for: model)
    var seen: [Int] = []
    let result = try ExactMatch.of(model, adapter: nil, set, maximumTokens: 10) { soFar in
      seen.append(soFar.matched)
      return true
    }
    #expect(result.matched == 2 && result.asked == 3 && seen == [1, 1, 2])
    #expect(result.examples.map { $0.generated } == answers)
    // Whoever has seen enough ends it.
    #expect(try ExactMatch.of(model, adapter: nil, set, maximumTokens: 1) { _ in false }.asked == 1)

    // More than the model's positions: not put, and not right.
    let long = [DataRow(.prompt(String(repeating: "word ", count: 600), completion: "x"))] + rows.prefix(1)
    let both = try ExactMatch.of(model, adapter: nil, QuestionSet(long, of: "f", encoder(), for: model), maximumTokens: 10)
    #expect(both.asked == 2 && both.tooLong == 1 && both.unanswered == 1 && both.matched == 1)
  }

  /// A turn ends where the template ends it, be it with words.
  @Test func turnsEndAsTheTemplateSays() throws {
    let model = try ModelLoader.load(ChatDataTests.scripture)
    let template = try ChatTemplate(
      jinja: "{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}"
        + "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}")
    let encoder = Encoder(tokenizer: try tokenizer(), endOfText: 0, template: template, maximumLength: 512)
    let set = try QuestionSet(
      [DataRow(.conversation(Self.talk, from: 0)), DataRow(.prompt("Who?", completion: "He."))], of: "f", encoder, for: model)
    #expect(set.endOfTurn?.texts == ["\nuser: "] && set.ends.contains(0))
    #expect(set.questions.map(\.isTurn) == [true, false])
  }
}
