import Blocks
import Catalog
import ChatTemplates
import Engine
import Files
import JSON
import Models
import PEFTKernel
import Registry
import Testing
import Tokenization

@testable import Training

/// What is learned of a conversation, and what batches make of examples.
@Suite struct ChatDataTests {
  static let scripture = Folder.tidied(Folder.join(#filePath, "../../../models/scripture"))
  static let templates = Folder.tidied(Folder.join(#filePath, "../../ChatTemplatesTests/Fixtures/templates"))
  static let masks = Folder.tidied(Folder.join(#filePath, "../Fixtures/chat/masks.jsonl"))

  private func tokenizer() throws -> Tokenizer {
    try Tokenizer(json: TextFile.readJSON(Self.scripture + "/tokenizer.json"))
  }

  private func template(_ name: String) throws -> ChatTemplate {
    try ChatTemplate(
      jinja: TextFile.read("\(Self.templates)/\(name).jinja"), variables: [.init("bos_token", "<s>"), .init("eos_token", "</s>")])
  }

  private func encoder(_ template: ChatTemplate?, _ lossOn: Encoder.LossOn = .completion, length: Int = 512) throws -> Encoder {
    Encoder(tokenizer: try tokenizer(), endOfText: 0, template: template, lossOn: lossOn, maximumLength: length)
  }

  /// Ids and learned tokens are those that transformers' offsets give.
  @Test func masksAreTheReferences() throws {
    var lines = try LineReader(Self.masks)
    var count = 0
    while let line = try lines.next() {
      let row = try JSON(parsing: line.bytes)
      let encoder = try encoder(template(try #require(row["template"]?.string)))
      let talk = Conversation(messages: row["messages"]?.array ?? [])
      let example = try encoder.whole(.conversation(talk, from: 0))
      #expect(example.ids.map(Int.init) == row["ids"]?.array?.compactMap(\.int), "line \(line.number)")
      var learned = [Int](repeating: 0, count: example.ids.count)
      for index in example.learned.flatMap({ Array($0) }) { learned[index] = 1 }
      #expect(learned == row["learned"]?.array?.compactMap(\.int), "line \(line.number)")
      count += 1
    }
    #expect(count == 23)
  }

  @Test func choosesWhatIsLearned() throws {
    let template = try template("chatml")
    let talk = Conversation(messages: [
      ["role": "user", "content": "a"], ["role": "assistant", "content": "first"], ["role": "user", "content": "b"],
      ["role": "assistant", "content": "second"],
    ])
    func learned(_ lossOn: Encoder.LossOn, _ talk: Conversation, from: Int = 0) throws -> [String] {
      let example = try encoder(template, lossOn).whole(.conversation(talk, from: from))
      let tokenizer = try tokenizer()
      return example.learned.map { tokenizer.decode(example.ids[$0].map(Int.init)) }
    }
    #expect(try learned(.completion, talk) == ["first<|im_end|>\n", "second<|im_end|>\n"])
    #expect(try learned(.completion, talk, from: 3) == ["second<|im_end|>\n"])
    #expect(try learned(.lastTurn, talk) == ["second<|im_end|>\n"])
    #expect(try learned(.all, talk) == [template.text(of: talk)])
    var weighed = talk
    weighed.messages[3] = ["role": "assistant", "content": "second", "weight": 0]
    #expect(try learned(.completion, weighed) == ["first<|im_end|>\n"])
    #expect(try learned(.lastTurn, weighed) == ["first<|im_end|>\n"])
  }

  /// Prompts keep the form they had: answers on the next line, closed by the end of text.
  @Test func promptsAreWrittenAsBefore() throws {
    let tokenizer = try tokenizer()
    let example = try encoder(nil).whole(.prompt("Who?", completion: "He."))
    let (prompt, answer) = (tokenizer.encode("Who?\n"), tokenizer.encode("He."))
    #expect(example.ids.map(Int.init) == prompt + answer + [0])
    #expect(example.learned == [prompt.count..<prompt.count + answer.count + 1])
    #expect(try encoder(nil, .all).whole(.prompt("Who?", completion: "He.")).learned == [0..<example.ids.count])
    let row = DataRow.Instruction(instruction: "Who?", input: "", output: "He.", system: nil, history: [])
    #expect(try encoder(nil).whole(.instruction(row)) == encoder(nil).whole(.prompt(row.prompt, completion: "He.")))
    let chat = try encoder(template("chatml"))
    #expect(try chat.whole(.instruction(row)) == chat.whole(.conversation(row.conversation, from: 0)))
  }

  @Test func cutsAndLeavesOut() throws {
    let rows = [
      DataRow(line: 4, .prompt("a", completion: "b")),
      DataRow(line: 7, .prompt(String(repeating: "word ", count: 30), completion: "b")),
      DataRow(line: 9, .prompt("a", completion: String(repeating: "word ", count: 30))),
      DataRow(line: 12, .labelled("a", label: "x")),
      DataRow(line: 13, .conversation(Conversation([("assistant", "x")]), from: 0)),
    ]
    let result = try encoder(nil, length: 12).encode(rows, of: "f")
    #expect(result.rows == [0, 2] && result.cut == [1, 2] && result.dropped == [1])
    #expect(result.examples.map(\.ids.count) == [result.lengths[0], 12])
    #expect(
      result.bad.map(\.description) == [
        "f:12: the row has a \"label\": to learn it, set task to sequence_classification; to learn the text as such, set data.format to "
          + "text", "f:13: the row is a conversation, but the model has no chat template; give data.chat_template",
      ])
    let refused = try encoder(template("gemma")).encode(
      [DataRow(line: 2, .conversation(Conversation([("system", "s"), ("assistant", "x")]), from: 0))], of: "f")
    #expect(
      refused.bad.map(\.description) == [
        "f:2: the chat template gives no text for it: line 1 of the template: System role not supported"
      ])
  }

  @Test func labelsFollowTheMask() {
    let example = Example(ids: [5, 6, 7, 8, 9], learned: [1..<2, 3..<5])
    #expect(example.labels == [6, -100, 8, 9, -100] && example.labelCount == 3)
    #expect(example.prefix(4).labels == [6, -100, 8, -100] && example.prefix(1).labelCount == 0)
    #expect(Example(ids: [5, 6, 7], learned: [0..<1, 2..<3]).labels == [-100, 7, -100])
    #expect(Example(ids: [5, 6, 7], learned: [0..<1, 2..<3]).labelCount == 1)
    #expect(Example(ids: [5, 6], learned: []).labelCount == 0)
    // One range to the end is what an index to learn from was: runs of before go on with the same fingerprint.
    let (a, b) = (Example(ids: [5, 6, 7], learned: [1..<3]), Example(ids: [5, 6, 7], learnedFrom: 1))
    #expect(a == b && BatchPlan([a], batchSize: 1).digest == BatchPlan([b], batchSize: 1).digest)
    #expect(BatchPlan([a], batchSize: 1).digest != BatchPlan([Example(ids: [5, 6, 7], learned: [1..<2])], batchSize: 1).digest)
  }

  private func draw(_ count: Int, _ seed: UInt64 = 3) -> [Example] {
    var random = Philox(key: seed)
    return (0..<count).map { index in
      let length = 3 + random.integer(below: 40)
      let ids = (0..<length).map { _ in Int32(1 + random.integer(below: 2000)) }
      return Example(ids: ids, learned: [1..<2, max(2, length / 2)..<length])
    }
  }

  /// Examples in one row know nothing of one another: loss and gradient are those of each by itself, and what stands beside an
  /// example changes none of its numbers.
  @Test func packedLossIsUnpackedLoss() throws {
    let model = try ModelLoader.load(Self.scripture)
    let examples = draw(12)
    let registry = try Catalog.registry()
    let method = try registry.assemble(registry.entry(named: "lora"))
    let sites = model.sites.filter { $0.use == "attention.query" || $0.use == "mlp.down" }
    func gradients(_ batches: [Batch]) throws -> (loss: Double, changes: [Double]) {
      let adapter = try EvidenceStage(method, sites: sites, for: NextTokens(model), examples: examples, seed: 1).start()
      let plan = BatchPlan(examples, batchSize: 1)
      let trainer = try Trainer(
        NextTokens(model), adapter: adapter, batches: plan, optimizer: AdamW(), peakRate: 1e-3, schedule: Schedule(total: 1),
        clipNorm: nil, seed: 1)
      let report = try trainer.takeStep(over: batches)
      return (report.loss, [report.gradientNorm] + trainer.parameters.flatMap { $0.value.values })
    }
    let packed = BatchPlan(examples, batchSize: 64, packedLength: 128, seed: 2)
    let rows = packed.microBatches(at: 0)
    #expect(rows.count == 1 && rows[0].rows.sequences.count == 12 && packed.stepsPerEpoch == 1)
    let (together, apart) = (try gradients(rows), try gradients(examples.map { Batch([$0]) }))
    #expect(abs(together.loss - apart.loss) <= 1e-6 * apart.loss)
    #expect(abs(together.changes[0] - apart.changes[0]) <= 1e-5 * apart.changes[0])
    // The mean of each example's own loss, weighed by its labels.
    let alone = examples.map { Evaluation.of(NextTokens(model), adapter: nil, [$0]) }
    let mean = alone.reduce(0) { $0 + $1.loss * Double($1.tokens) } / Double(alone.reduce(0) { $0 + $1.tokens })
    let whole = Evaluation.of(NextTokens(model), adapter: nil, examples, tokensPerBatch: .max)
    #expect(abs(mean - whole.loss) <= 1e-6 * mean)

    let others = draw(12, 9)
    func hidden(_ batch: Batch) -> [Double] {
      model.hidden(batch.ids, ModelRun(pass: Pass(now: Moment(), rows: batch.rows, sites: []))).values
    }
    for index in [0, 5, 11] {
      // The same lengths, so that the engine does the same sums: other neighbours, not one bit of difference.
      let strangers = examples.indices.map { place -> Example in
        guard place != index else { return examples[place] }
        let ids = (0..<examples[place].ids.count).map { others[place].ids[$0 % others[place].ids.count] }
        return Example(ids: ids)
      }
      let start = examples[..<index].reduce(0) { $0 + $1.ids.count } * model.hiddenSize
      let range = start..<start + examples[index].ids.count * model.hiddenSize
      #expect(hidden(Batch(examples))[range] == hidden(Batch(strangers))[range])
    }
  }

  @Test func groupsByLength() throws {
    let examples = draw(203)
    func spread(_ plan: BatchPlan) -> Double {
      let batches = (0..<plan.stepsPerEpoch).flatMap { plan.microBatches(at: $0) }
      return batches.reduce(0) { sum, batch in
        let lengths = batch.rows.sequences.map(\.count)
        return sum + Double((lengths.max() ?? 0) - (lengths.min() ?? 0))
      } / Double(batches.count)
    }
    for accumulation in [1, 3] {
      let plan = BatchPlan(examples, batchSize: 4, accumulation: accumulation, groupedSteps: 50, seed: 5)
      let plain = BatchPlan(examples, batchSize: 4, accumulation: accumulation, seed: 5)
      #expect(spread(plan) < 0.1 * spread(plain))
      #expect(plan.stepsPerEpoch == plain.stepsPerEpoch)
      for epoch in 0..<3 {
        let seen = (0..<plan.stepsPerEpoch).flatMap { step in
          plan.microBatches(at: epoch * plan.stepsPerEpoch + step).flatMap { batch in
            batch.rows.sequences.map { Array(batch.ids[$0]) }
          }
        }
        #expect(seen.map(\.description).sorted() == examples.map(\.ids.description).sorted())
      }
      // Another epoch has another order, the same seed the same.
      func first(_ plan: BatchPlan, _ epoch: Int) -> [Int32] { plan.microBatches(at: epoch * plan.stepsPerEpoch)[0].ids }
      #expect(first(plan, 0) != first(plan, 1))
      let again = BatchPlan(examples, batchSize: 4, accumulation: accumulation, groupedSteps: 50, seed: 5)
      #expect(first(again, 1) == first(plan, 1))
      // The longest batch does not always come first.
      let sizes = (0..<plan.stepsPerEpoch).map { plan.microBatches(at: $0)[0].ids.count }
      #expect(sizes != sizes.sorted(by: >))
      #expect(plan.extent(steps: plan.stepsPerEpoch).tokens == examples.reduce(0) { $0 + $1.ids.count })
    }
  }
}
