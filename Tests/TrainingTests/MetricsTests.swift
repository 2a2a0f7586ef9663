import Engine
import Files
import JSON
import PEFTKernel
import Testing

@testable import Training

/// Against numbers made by the definitions in numpy. An independent oracle's are among the reference files of the conformance tests.
@Suite struct MetricsTests {
  static let folder = Folder.tidied(Folder.join(#filePath, "../Fixtures/metrics"))

  private func cases(_ part: String) throws -> [JSON] {
    try #require(try TextFile.readJSON(Self.folder + "/metrics.json")[part]?.array)
  }

  private func near(_ found: Double?, _ expected: JSON?, _ name: String, at location: SourceLocation = #_sourceLocation) {
    guard let found, let expected = expected?.double else {
      #expect(found == nil && expected?.isNull == true, "\(name)", sourceLocation: location)
      return
    }
    let bound = 1e-12 * max(1, expected.magnitude)
    #expect((found - expected).magnitude <= bound, "\(name): \(found), not \(expected)", sourceLocation: location)
  }

  private func numbers(_ json: JSON?) -> [Double] { json?.array?.compactMap(\.double) ?? [] }

  @Test func choicesAreCountedAsTheReferenceDoes() throws {
    let cases = try cases("classification")
    #expect(cases.count == 11)
    for json in cases {
      let name = json["name"]?.string ?? ""
      let labels = try #require(json["labels"]?.array).compactMap(\.int)
      let probabilities = try #require(json["probabilities"]?.array).map(numbers)
      let names = probabilities[0].indices.map { "class \($0)" }
      let bins = try #require(json["calibration"]?["bins"]?.int)
      let metrics = try ClassificationMetrics(probabilities: probabilities, labels: labels, names: names, bins: bins)
      near(metrics.accuracy, json["accuracy"], name)
      near(metrics.macroF1, json["macro_f1"], name)
      #expect(metrics.confusion == json["confusion"]?.array?.map { $0.array?.compactMap(\.int) ?? [] }, "\(name)")
      #expect(metrics.scores.map(\.support) == json["support"]?.array?.compactMap(\.int), "\(name)")
      #expect(metrics.count == labels.count && metrics.scores.map(\.name) == names)
      for (index, score) in metrics.scores.enumerated() {
        for (key, value) in [("precision", score.precision), ("recall", score.recall), ("f1", score.f1)] {
          near(value, json[key]?.array?[index], "\(name), \(key) of \(index)")
        }
      }
      try expectErrors(metrics.calibration, json["calibration"], name)
    }
  }

  private func expectErrors(_ errors: CalibrationErrors, _ json: JSON?, _ name: String) throws {
    let found = errors.json
    for key in ["ece", "mce", "classwise_ece", "ace", "classwise_ace", "brier"] {
      near(try #require(found[key]?.double), json?[key], "\(name), \(key)")
    }
    for (found, expected) in zip(errors.thresholded, try #require(json?["tace"]?.array)) {
      near(found.error, expected, "\(name), above \(found.threshold)")
    }
    #expect(errors.thresholded.map(\.threshold) == [0.01, 0.001, 0.0001])
  }

  /// n examples of C classes, drawn.
  private func draw(_ count: Int, _ classes: Int, seed: UInt64) -> (probabilities: [[Double]], labels: [Int]) {
    var random = Philox(key: seed)
    let rows = (0..<count).map { _ in
      let row = (0..<classes).map { _ in random.uniform() + 1e-3 }
      let sum = row.reduce(0, +)
      return row.map { $0 / sum }
    }
    return (rows, (0..<count).map { _ in random.integer(below: classes) })
  }

  @Test(arguments: [(2, 10), (3, 15), (7, 4)]) func errorsKeepTheirBounds(_ classes: Int, _ bins: Int) throws {
    for seed in UInt64(0)..<8 {
      let (probabilities, labels) = draw(50, classes, seed: seed)
      let errors = try CalibrationErrors(probabilities: probabilities, labels: labels, bins: bins)
      let all = [errors.ece, errors.mce, errors.classwiseECE, errors.ace, errors.classwiseACE]
      #expect((all + errors.thresholded.map(\.error)).allSatisfy { (0...1).contains($0) })
      #expect((0...2).contains(errors.brier) && errors.mce >= errors.ece)
      // In another order the same, but for the sums' rounding.
      let order = Array(0..<50).reversed().map { ($0 + 17) % 50 }
      let other = try CalibrationErrors(
        probabilities: order.map { probabilities[$0] }, labels: order.map { labels[$0] }, bins: bins)
      #expect((other.ece - errors.ece).magnitude < 1e-12 && (other.ace - errors.ace).magnitude < 1e-12)
      // In one bin all errors are |accuracy − mean confidence|.
      let one = try ClassificationMetrics(
        probabilities: probabilities, labels: labels, names: (0..<classes).map(String.init), bins: 1)
      let confidence = probabilities.reduce(0) { $0 + ($1.max() ?? 0) } / 50
      for error in [one.calibration.ece, one.calibration.mce, one.calibration.ace] {
        #expect((error - (one.accuracy - confidence).magnitude).magnitude < 1e-12)
      }
    }
  }

  /// Constant confidence c, accuracy a: |a − c|.
  @Test func oneConfidenceIsOneBin() throws {
    let rows = [[Double]](repeating: [0.7, 0.2, 0.1], count: 20)
    let metrics = try ClassificationMetrics(
      probabilities: rows, labels: (0..<20).map { $0 < 12 ? 0 : 2 }, names: ["a", "b", "c"])
    #expect(metrics.accuracy == 0.6 && (metrics.calibration.ece - 0.1).magnitude < 1e-12)
    // b was never seen nor said, and does not count: the mean of a's 0.75 and c's 0.
    #expect(
      metrics.macroF1 == 0.375
        && metrics.scores[1]
          == .init(
            name: "b", precision: 0, recall: 0, f1: 0, support: 0, predicted: 0)
    )
  }

  /// What rounding in float32 puts a little above 1 belongs to the last bin.
  @Test func aLittleMoreThanOneIsOne() throws {
    let errors = try CalibrationErrors(probabilities: [[1.0000001, 0], [0, 1]], labels: [0, 1])
    #expect(errors.ece < 1e-6 && errors.mce < 1e-6)
  }

  @Test func whatIsNoChoiceIsRefused() {
    func refusal(_ rows: [[Double]], _ labels: [Int], _ names: [String] = ["a", "b"], bins: Int = 10) -> String? {
      do throws(Refusal) {
        _ = try ClassificationMetrics(probabilities: rows, labels: labels, names: names, bins: bins)
        return nil
      } catch {
        return error.reason
      }
    }
    let half = [0.5, 0.5]
    #expect(refusal([], []) == "there are no examples: nothing can be said of a classifier")
    #expect(refusal([[1]], [0], ["a"]) == "there is nothing to choose from: one class")
    #expect(refusal([[]], [0], []) == "there is nothing to choose from: no classes")
    #expect(refusal([half], [0, 1]) == "there are probabilities of 1 examples, and 2 labels")
    #expect(refusal([half, [1]], [0, 0]) == "example 2 has probabilities of 1 classes, the first of 2")
    #expect(refusal([half, [.nan, 1]], [0, 0]) == "example 2 has the probability nan of class 0")
    #expect(refusal([[1, -0.0001]], [0]) == "example 1 has the probability -0.0001 of class 1")
    #expect(refusal([[.infinity, 0]], [0]) == "example 1 has the probability inf of class 0")
    #expect(refusal([[0.5, 0.6]], [0]) == "the probabilities of example 1 sum to 1.1")
    #expect(refusal([[0.5, 0.5009]], [0]) == nil)
    #expect(refusal([half], [2]) == "example 1 has the label 2; there are classes 0 to 1")
    #expect(refusal([half], [-1]) == "example 1 has the label -1; there are classes 0 to 1")
    #expect(refusal([half], [0], ["a"]) == "there are 1 names, and probabilities of 2 classes")
    #expect(refusal([half], [0], bins: 0) == "there cannot be 0 bins")
    #expect(refusal([half], [0], bins: .max) == "there cannot be \(Int.max) bins")
  }

  @Test func theReportKeepsItsKeys() throws {
    let metrics = try ClassificationMetrics(
      probabilities: [[0.75, 0.25], [0.25, 0.75], [0.5, 0.5], [0, 1]], labels: [0, 1, 1, 1], names: ["no", "yes"])
    let json = metrics.json
    #expect(json.members?.map(\.key) == ["examples", "accuracy", "macro_f1", "calibration", "classes", "confusion"])
    #expect(
      json["calibration"]?.members?.map(\.key)
        == ["bins", "ece", "mce", "classwise_ece", "ace", "classwise_ace", "tace", "brier"])
    #expect(json["classes"]?.array?[1]["name"] == "yes" && json["classes"]?.array?[1]["support"] == 3)
    #expect(json["confusion"] == [[1, 0], [1, 2]] && json["accuracy"] == 0.75)
    #expect(try JSON(parsing: json.text()) == json)
  }

  @Test func numbersAreCorrelatedAsTheReferenceDoes() throws {
    let cases = try cases("regression")
    #expect(cases.count == 7)
    for json in cases {
      let name = json["name"]?.string ?? ""
      let metrics = try RegressionMetrics(predictions: numbers(json["predictions"]), targets: numbers(json["targets"]))
      near(metrics.meanSquaredError, json["mse"], name)
      near(metrics.pearson, json["pearson"], name)
      near(metrics.spearman, json["spearman"], name)
      #expect(metrics.json["pearson"]?.isNull == (metrics.pearson == nil))
    }
    #expect(throws: Refusal("there are 2 predictions, and 1 targets")) {
      try RegressionMetrics(predictions: [1, 2], targets: [1])
    }
    #expect(throws: Refusal("there are no predictions: nothing can be said of them")) {
      try RegressionMetrics(predictions: [], targets: [])
    }
    #expect(throws: Refusal("target 2 is nan, no finite number")) {
      try RegressionMetrics(predictions: [1, 2], targets: [1, .nan])
    }
  }

  @Test func placesAreCountedAsTheReferenceDoes() throws {
    for json in try cases("retrieval") {
      let ranks = try #require(json["ranks"]?.array).compactMap(\.int)
      let metrics = try RetrievalMetrics(ranks: ranks, candidates: try #require(json["candidates"]?.int))
      for key in ["accuracy_at_1", "accuracy_at_10", "mean_reciprocal_rank"] { near(metrics.json[key]?.double, json[key], key) }
    }
    #expect(throws: Refusal("there are no searches: nothing can be said of them")) {
      try RetrievalMetrics(ranks: [], candidates: 3)
    }
    #expect(throws: Refusal("search 2 has rank 3 among 3 candidates")) { try RetrievalMetrics(ranks: [0, 3], candidates: 3) }
    #expect(throws: Refusal("search 1 has rank -1 among 3 candidates")) { try RetrievalMetrics(ranks: [-1], candidates: 3) }
  }

  @Test func whoIsAsLikeStandsBefore() {
    #expect(RetrievalMetrics.rank(of: 1, in: [0.2, 0.9, 0.3]) == 0)
    #expect(RetrievalMetrics.rank(of: 0, in: [0.2, 0.9, 0.3]) == 2)
    #expect(RetrievalMetrics.rank(of: 2, in: [0.5, 0.5, 0.5, 0.1]) == 2)
    #expect(RetrievalMetrics.rank(of: 0, in: [.nan, 0.5, .nan]) == 2)
    #expect(RetrievalMetrics.rank(of: 1, in: [.nan, 0.5, .nan]) == 0)
  }
}
