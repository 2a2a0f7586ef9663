import ChatTemplates
import Files
import JSON
import PEFTKernel
import Registry
import Testing

@testable import Training

/// Data files as people have them, and as nobody should.
@Suite struct DataFormatTests {
  private func read(_ text: String, _ name: String = "data.jsonl", format: RunFile.DataSettings.Format = .auto) throws
    -> [DataRow]
  {
    let scratch = try RunTests.Scratch()
    try WholeFile.write(text, to: scratch.path + "/" + name)
    do {
      return try DataFile.read(scratch.path + "/" + name, format: format)
    } catch let error as DataErrors {
      throw DataErrors(messages: error.messages.map { $0.replacing(scratch.path + "/", with: "") })
    } catch var error as FileError {
      error.path = error.path.replacing(scratch.path + "/", with: "")
      throw DataErrors(messages: [error.description])
    }
  }

  @Test func readsWhatTheFieldWrites() throws {
    let talk = Conversation([("user", "hi"), ("assistant", "Hello")])
    #expect(try read(#"{"text": "a"}"#).map(\.content) == [.text("a")])
    #expect(try read(#"{"prompt": "a", "completion": "b"}"#).map(\.content) == [.prompt("a", completion: "b")])
    #expect(
      try read(#"{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hello"}]}"#).map(\.content)
        == [.conversation(talk, from: 0)])
    #expect(
      try read(
        #"{"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "Hello"}], "system": "S"}"#
      ).map(\.content)
        == [.conversation(Conversation([("system", "S"), ("user", "hi"), ("assistant", "Hello")]), from: 0)])
    #expect(
      try read(
        #"{"prompt": [{"role": "user", "content": "hi"}], "completion": [{"role": "assistant", "content": "Hello"}]}"#
      ).map(\.content) == [.conversation(talk, from: 1)])
    #expect(
      try read(#"{"instruction": "Add.", "input": "1 2", "output": "3", "id": 7, "history": [["q", "a"]]}"#).map(\.content)
        == [
          .instruction(
            .init(instruction: "Add.", input: "1 2", output: "3", system: nil, history: [(question: "q", answer: "a")]))
        ])
    #expect(
      try read("{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": \"b\", \"label\": 1}").map(\.content)
        == [.labelled("a", label: "x"), .labelled("b", label: "1")])
    #expect(try read("first\n\nsecond\n", "data.txt").map(\.line) == [1, 3])
  }

  @Test func contentInPartsBecomesOneText() throws {
    let row = try read(
      #"{"messages": [{"role": "user", "content": [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}]}, {"role": "assistant", "content": "c", "weight": 0}, {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}]}"#
    )
    guard case .conversation(let talk, _) = row[0].content else {
      Issue.record("no conversation")
      return
    }
    #expect(talk.messages[0]["content"] == "a b")
    #expect(talk.messages[1]["weight"] == 0)
    #expect(talk.messages[2]["content"] == .null)
  }

  @Test func alpacaIsAConversationOrAText() {
    let row = DataRow.Instruction(instruction: "Add.", input: "1 2", output: "3", system: nil, history: [("q", "a")])
    #expect(row.conversation == Conversation([("user", "q"), ("assistant", "a"), ("user", "Add.\n1 2"), ("assistant", "3")]))
    #expect(
      row.prompt
        == "Below is an instruction that describes a task, paired with an input that provides further context. "
        + "Write a response that appropriately completes the request.\n\n### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:"
    )
  }

  /// One array in a `.json` file: rows have the lines they begin at.
  @Test func readsAnArrayOfRows() throws {
    let rows = try read(
      "\u{FEFF}[\n  {\"text\": \"a, ]}\\\"\"},\n  {\n    \"text\":\n    \"b\"},{\"text\": \"c\"}\n]\n", "data.json")
    #expect(rows.map(\.line) == [2, 3, 5])
    #expect(rows.map(\.content) == [.text("a, ]}\""), .text("b"), .text("c")])
    // Lines of objects are read under that name, too.
    #expect(try read("{\"text\": \"a\"}\n{\"text\": \"b\"}\n", "data.json").count == 2)
  }

  @Test(arguments: [
    ("[{\"text\": \"a\"} {\"text\": \"b\"}]", "data.json:1: not JSON: unexpected text after the document (column 15)"),
    ("[{\"text\": \"a\"},]", "data.json:1: is not JSON (a row is missing); give one JSON array of rows, or one row a line"),
    (
      "[\n{\"text\": \"a\"}", "data.json:2: is not JSON (the array is not closed); give one JSON array of rows, or one row a line"
    ),
    ("[\"", "data.json:1: is not JSON (the array is not closed); give one JSON array of rows, or one row a line"),
    ("[\"\\", "data.json:1: is not JSON (the array is not closed); give one JSON array of rows, or one row a line"),
    ("[1]\nmore", "data.json:2: is not JSON (unexpected text after the array); give one JSON array of rows, or one row a line"),
    ("[]", "data.json: the file has no rows; give one JSON object a line"),
    ("[3]", "data.json:1: a row must be an object, such as {\"text\": \"…\"}"),
    ("[\n\n{\"text\":\n tru}]", "data.json:3: not JSON: expected 'true' (line 2 of the row, column 2)"),
  ])
  func badArraysAreNamed(_ text: String, _ message: String) {
    let error = #expect(throws: DataErrors.self) { try read(text, "data.json") }
    #expect(error?.description == message)
  }

  private static let formats =
    "a row needs \"messages\", \"conversations\", \"prompt\" and \"completion\", \"instruction\" and \"output\", or \"text\"; it has "

  @Test(arguments: [
    ("{\"text\": \"a\"}\n{\"text\": 3}\n", "2: \"text\" must be text"),
    (#"{"text": ""}"#, "1: \"text\" is empty: nothing to learn"),
    (#"{"prompt": "a"}"#, "1: a row with \"prompt\" needs \"completion\""),
    (#"{"prompt": "a", "completion": ""}"#, "1: \"completion\" is empty: nothing to learn"),
    ("\n\n[1]\n", "3: a row must be an object, such as {\"text\": \"…\"}"),
    (#"{"question": "a"}"#, "1: \(formats)\"question\""),
    (#"{"\u001b[2J": 1}"#, "1: \(formats)\"\\u{1b}[2J\""),
    ("{}", "1: \(formats)nothing"),
    (#"{"text": null}"#, "1: \(formats)\"text\""),
    (
      #"{"text": "a", "prompt": "b", "completion": "c"}"#,
      "1: the row can be read as prompt and as text; say which with data.format"
    ),
    (#"{"instruction": "a"}"#, "1: a row with \"instruction\" needs \"output\""),
    (#"{"instruction": "a", "output": ""}"#, "1: \"output\" is empty: nothing to learn"),
    (#"{"instruction": "a", "output": "b", "input": 3}"#, "1: \"input\" must be text"),
    (#"{"instruction": "a", "output": "b", "history": [["q"]]}"#, "1: \"history\" must be a list of pairs of texts"),
    (#"{"text": "a", "label": 1.5}"#, "1: \"label\" must be a text, a whole number or a truth value"),
    (#"{"messages": "a"}"#, "1: \"messages\" must be a list"),
    (#"{"messages": []}"#, "1: \"messages\" has no turn of the assistant: nothing to learn"),
    (#"{"messages": ["hi"]}"#, "1: messages[0] must be an object with \"role\" and \"content\""),
    (#"{"messages": [{"content": "hi"}]}"#, "1: messages[0] has no \"role\""),
    (
      #"{"messages": [{"role": "human", "content": "hi"}]}"#,
      "1: messages[0] has the role \"human\"; known: system, developer, user, assistant, tool, function, ipython"
    ),
    (#"{"messages": [{"role": "user"}]}"#, "1: messages[0] has no \"content\""),
    (#"{"messages": [{"role": "user", "content": 3}]}"#, "1: \"content\" of messages[0] must be text"),
    (#"{"messages": [{"role": "assistant", "content": ""}]}"#, "1: messages[0] is an answer without content: nothing to learn"),
    (
      #"{"messages": [{"role": "user", "content": [{"type": "image"}]}]}"#,
      "1: messages[0] has content of image; only text is learned from"
    ),
    (#"{"messages": [{"role": "assistant", "content": "a", "weight": 2}]}"#, "1: \"weight\" of messages[0] must be 0 or 1"),
    (#"{"messages": [{"role": "assistant", "content": "a"}], "tools": 3}"#, "1: \"tools\" must be a list"),
    (
      #"{"conversations": [{"from": "someone", "value": "a"}]}"#,
      "1: conversations[0] is from \"someone\"; known: assistant, chatgpt, function_response, gpt, human, model, observation, system, "
        + "tool, user"
    ),
    (#"{"conversations": [{"from": "gpt"}]}"#, "1: conversations[0] must be an object with \"from\" and \"value\", both text"),
    (
      #"{"prompt": [{"role": "user", "content": "a"}], "completion": "b"}"#,
      "1: \"prompt\" is a list of messages, so \"completion\" must be one, and not empty"
    ),
    (
      #"{"prompt": [{"role": "user", "content": "a"}], "completion": [{"role": "user", "content": "b"}]}"#,
      "1: \"completion\" has no message of the assistant: nothing to learn"
    ),
  ])
  func badRowsAreNamed(_ text: String, _ message: String) {
    let error = #expect(throws: DataErrors.self) { try read(text) }
    #expect(error?.description == "data.jsonl:" + message)
  }

  @Test func aFormatThatIsAskedForIsHeldTo() throws {
    #expect(try read(#"{"text": "a", "label": 1}"#, format: .text).map(\.content) == [.text("a")])
    #expect(try read(#"{"text": "a", "prompt": "b", "completion": "c"}"#, format: .text).map(\.content) == [.text("a")])
    let error = #expect(throws: DataErrors.self) { try read(#"{"prompt": "a", "text": "b"}"#, format: .prompt) }
    #expect(
      error?.description == "data.jsonl:1: data.format is prompt, but the row has no \"completion\"; it has \"prompt\", \"text\"")
  }

  @Test func emptyFilesAreNamed() {
    let error = #expect(throws: DataErrors.self) { try read("") }
    #expect(error?.description == "data.jsonl: the file has no rows; give one JSON object a line")
  }

  @Test(arguments: [(10, 0.1, 0.2), (100, 0.25, 0), (7, 0.5, 0.3), (1000, 0.001, 0.001), (3, 0.01, 0.01)])
  func splitsAreExact(_ rows: Int, _ valid: Double, _ test: Double) throws {
    let split = try DataSplit(rows: rows, valid: valid, test: test, seed: 4)
    func count(_ share: Double) -> Int { share == 0 ? 0 : max(1, Int((share * Double(rows)).rounded())) }
    #expect(split.valid.count == count(valid) && split.test.count == count(test))
    #expect((split.train + split.valid + split.test).sorted() == Array(0..<rows))
    for part in [split.train, split.valid, split.test] { #expect(part == part.sorted()) }
    #expect(try DataSplit(rows: rows, valid: valid, test: test, seed: 4) == split)
    if rows >= 100 { #expect(try DataSplit(rows: rows, valid: valid, test: test, seed: 5) != split) }
    // What is cut off for one part does not depend on the other.
    #expect(try DataSplit(rows: rows, valid: valid, test: 0, seed: 4).valid == split.valid)
  }

  @Test func splitsLeaveSomething() {
    #expect(throws: Refusal.self) { try DataSplit(rows: 2, valid: 0.4, test: 0.4, seed: 0) }
    #expect(throws: Refusal.self) { try DataSplit(rows: 0, valid: 0.4, test: 0, seed: 0) }
  }
}
