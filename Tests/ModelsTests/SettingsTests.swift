import Engine
import Files
import Models
import PEFTKernel
import Testing

/// The families at many settings, each against what transformers computes.
@Suite struct SettingsTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var group: String
    var name: String
    var testDescription: String { "\(group)/\(name)" }

    static let folder: String = {
      let folder = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
      return "\(folder)/Fixtures/settings"
    }()

    static let all: [Case] = {
      let groups = ((try? Folder.names(in: folder)) ?? []).filter { Folder.isFolder("\(folder)/\($0)") }
      return groups.sorted().flatMap { group in
        ((try? Folder.names(in: "\(folder)/\(group)")) ?? []).filter { $0.hasSuffix(".json") }.sorted().map {
          Case(group: group, name: String($0.dropLast(5)))
        }
      }
    }()

    /// Whether keys that were turned stay as they are when the text goes on.
    var turnsWithTheLength: Bool { name.hasPrefix("dynamic") || name.hasPrefix("longrope") }

    func reference() throws -> Reference { try Reference(path: "\(Self.folder)/\(group)/\(name).safetensors") }

    func model(in scratch: Scratch) throws -> any LanguageModel {
      let config = try TextFile.read("\(Self.folder)/\(group)/\(name).json")
      try scratch.model(config: config, tensors(SafetensorsFile("\(Self.folder)/\(group)/model.safetensors")))
      return try ModelLoader.load(scratch.path)
    }
  }

  @Test func everyCaseIsThere() { #expect(Case.all.count == 53) }

  @Test(arguments: Case.all) func logitsAndLossAreThoseOfTheReference(_ test: Case) throws {
    let scratch = try Scratch()
    let (model, reference) = (try test.model(in: scratch), try test.reference())
    for scalar in [ScalarType.float32, .float64] {
      let run = reference.run(scalar)
      let logits = model.logits(model.hidden(reference.ids, run), run)
      #expect(largestDifference(logits.floats, reference.logits) < 2e-5)
      let loss = model.loss(reference.ids, labels: reference.labels, scale: 1 / Double(reference.labelled), run)
      #expect(abs(loss.item - reference.loss) < 2e-5)
    }
  }

  /// Piece by piece the rows are those of one pass, windows, caps and all.
  @Test(arguments: Case.all) func cachedRowsAreThoseOfOnePass(_ test: Case) throws {
    let scratch = try Scratch()
    let (model, reference) = (try test.model(in: scratch), try test.reference())
    let ids = Array(reference.ids.prefix(13))
    for pieces in [[13], [5, 1, 1, 4, 1, 1], [1, 12]] where !test.turnsWithTheLength || pieces.count == 1 {
      let cache = model.makeCache(capacity: 13)
      var rows: [Float] = []
      for count in pieces {
        let pass = Pass(now: Moment(), rows: RowLayout(lengths: [count]), sites: [])
        let run = ModelRun(pass: pass, cache: cache)
        rows += model.logits(model.hidden(Array(ids[cache.count..<cache.count + count]), run), run).floats
      }
      #expect(largestDifference(rows, Array(reference.logits.prefix(rows.count))) < 2e-5)
      #expect(rows.count == 13 * 41)
    }
  }
}
