import Engine
import Files
import Models
import PEFTKernel
import Testing

@testable import Training

/// The tasks' losses and gradients, against numbers that transformers and PyTorch made: see `Fixtures/objectives/README.md`.
@Suite struct ObjectiveTests {
  static let models = Folder.tidied(Folder.join(#filePath, "../../ModelsTests/Fixtures"))
  static let cases = Folder.tidied(Folder.join(#filePath, "../Fixtures/objectives"))

  /// A file of the reference.
  struct Case {
    let file: SafetensorsFile

    init(_ name: String) throws { file = try SafetensorsFile("\(ObjectiveTests.cases)/\(name).safetensors") }

    func tensor(_ name: String) throws -> Tensor {
      Tensor(try file.floats(of: name), shape: try #require(file.entry(name)).shape)
    }

    /// Rows without their padding.
    func ids(_ prefix: String = "") throws -> [[Int32]] { try rows("input_ids", prefix) }

    func rows(_ name: String, _ prefix: String = "") throws -> [[Int32]] {
      let width = try #require(file.entry(prefix + name)).shape[1]
      let (values, mask) = (try file.ints(of: prefix + name), try file.ints(of: prefix + "attention_mask"))
      return stride(from: 0, to: values.count, by: width).map { start in
        (start..<start + width).filter { mask[$0] != 0 }.map { Int32(values[$0]) }
      }
    }

    var labels: [Int32] { get throws { try file.ints(of: "labels").map { Int32($0) } } }

    func images(rows: Int) throws -> [Example.Image] {
      let pixels = try tensor("pixel_values")
      return (0..<pixels.shape[0]).map { .init(pixels: pixels.slice(rows: $0..<$0 + 1).floats, rows: rows) }
    }

    /// The loss and the gradients that the file has.
    func check(_ objective: any Objective, _ examples: [Example], head: [String: Tensor] = [:]) throws {
      let batch = Batch(examples)
      var leaves = head.mapValues { $0.tracked() }
      let wanted = file.tensors.map(\.name).filter { $0.hasPrefix("gradient.") }
      for name in wanted {
        let own = String(name.dropFirst("gradient.".count))
        if leaves[own] == nil { leaves[own] = objective.model.parameter(own).tracked() }
      }
      let run = ModelRun(pass: Pass(now: Moment(), rows: batch.rows, sites: []), trained: leaves)
      let loss = objective.loss(batch, scale: 1 / Double(batch.labelCount), run)
      let expected = Double(try file.floats(of: "loss")[0])
      #expect(abs(loss.item - expected) < 2e-5 * max(1, expected))
      let judged = objective.judge(batch, ModelRun(pass: run.pass, trained: head))
      #expect(abs(judged.loss / Double(batch.labelCount) - expected) < 2e-5 * max(1, expected))
      #expect(judged.answers.count == examples.count)
      loss.backward()
      for name in wanted {
        let own = String(name.dropFirst("gradient.".count))
        let (found, right) = (try #require(leaves[own]?.gradient, "\(own) has no gradient"), try tensor(name))
        let difference = (found.reshaped(right.shape) - right).largestMagnitude
        #expect(difference < 2e-5 * max(1, right.largestMagnitude), "\(own)")
      }
    }
  }

  private func head(_ test: Case, _ names: [String]) throws -> [String: Tensor] {
    Dictionary(uniqueKeysWithValues: try names.map { ($0, try test.tensor($0)) })
  }

  @Test(arguments: [("sentence-embedding", "bert"), ("sentence-embedding-roberta", "roberta")])
  func pairsAreRankedInTheirBatch(_ name: String, _ family: String) throws {
    let test = try Case(name)
    let model = try ModelLoader.open("\(Self.models)/\(family)", head: .none)
    let objective = SentencePairs(try #require(model as? any TextEncoder), scale: Double(try test.file.floats(of: "scale")[0]))
    let (first, second) = (try test.ids("anchors."), try test.ids("positives."))
    let pairs = zip(first, second).map { Example(ids: $0 + $1, border: $0.count, target: .partner) }
    try test.check(objective, pairs)
    let batch = Batch(pairs)
    let vectors = objective.embeddings(batch, ModelRun(pass: Pass(now: Moment(), rows: batch.rows, sites: [])))
    for (index, side) in ["anchors", "positives"].enumerated() {
      let part = vectors.slice(rows: index * pairs.count..<(index + 1) * pairs.count)
      #expect((part - (try test.tensor(side))).largestMagnitude < 2e-5)
    }
  }

  @Test(arguments: [
    ("sequence-classification", "bert", ["classifier.weight", "classifier.bias"]),
    ("sequence-classification-roberta", "roberta", ["classifier.out_proj.weight", "classifier.out_proj.bias"]),
  ])
  func textsAreClassified(_ name: String, _ family: String, _ parts: [String]) throws {
    let test = try Case(name)
    let labels = ClassLabels(names: ["a", "b", "c"])
    let objective = try Classification(ModelLoader.open("\(Self.models)/\(family)", head: .classes(labels, seed: 1)))
    let types = test.file.entry("token_type_ids") == nil ? nil : try test.rows("token_type_ids")
    let examples = zip(try test.ids(), try test.labels).enumerated().map { index, row in
      Example(ids: row.0, types: types?[index], target: .label(row.1))
    }
    var values = try head(test, parts)
    // RoBERTa's head has a map before the last, which the reference has from the model's file.
    let stored = try ModelLoader.open("\(Self.models)/\(family)")
    for parameter in stored.parameters where parameter.name.hasPrefix("classifier.dense") {
      values[parameter.name] = stored.parameter(parameter.name)
    }
    try test.check(objective, examples, head: values)
  }

  @Test func imagesAreClassified() throws {
    let test = try Case("image-classification")
    let labels = ClassLabels(names: ["a", "b", "c"])
    let model = try ModelLoader.open("\(Self.models)/vit", head: .classes(labels, seed: 1))
    let rows = try #require(model as? any ImageEncoder).rowsPerImage
    let examples = zip(try test.images(rows: rows), try test.labels).map { Example(image: $0, target: .label($1)) }
    try test.check(try Classification(model), examples, head: try head(test, ["classifier.weight", "classifier.bias"]))
  }

  @Test func imagesAreComparedWithTextsOfTheirClasses() throws {
    let test = try Case("image-text-classification")
    let model = try #require(ModelLoader.open("\(Self.models)/clip") as? any ImageTextModel)
    let objective = ImageTexts(model, labels: ClassLabels(names: ["a", "b", "c"]), texts: try test.ids())
    let examples = zip(try test.images(rows: model.rowsPerImage), try test.labels).map { Example(image: $0, target: .label($1)) }
    try test.check(objective, examples)
    let batch = Batch(examples)
    let logits = try #require(objective.answers(batch, ModelRun(pass: Pass(now: Moment(), rows: batch.rows, sites: []))))
    #expect((logits - (try test.tensor("logits_per_image"))).largestMagnitude < 2e-4)
  }

  @Test func onlyFittingModelsAreTaken() throws {
    let plain = try ModelLoader.open("\(Self.models)/bert", head: .none)
    #expect(throws: Refusal.self) { try Classification(plain) }
    let numbers = try ModelLoader.open("\(Self.models)/encoders/roberta-regression")
    let refusal = #expect(throws: Refusal.self) { try Classification(numbers) }
    #expect(refusal?.reason.contains("regression") == true)
  }
}
