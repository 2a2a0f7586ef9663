import Foundation
import Testing

@testable import Tokenization

/// The tokenizer of all-MiniLM-L6-v2 against the reference library.
///
/// `MINILM_DIR` names the model's folder, as `Scripts/minilm` fetches it; without it the suite is reported as skipped.
@Suite(.enabled(if: Pretrained.folder != nil, "MINILM_DIR names no folder; Scripts/minilm fetches the model"))
struct PretrainedTests {
  private func tokenizer() throws -> Tokenizer {
    let folder = try #require(Pretrained.folder)
    return try Tokenizer(parsing: Data(contentsOf: URL(fileURLWithPath: folder + "/tokenizer.json")))
  }

  @Test func encodesAndDecodes() throws { try ReferenceTests.encodesAndDecodes(tokenizer(), Fixture.digests("minilm.txt")) }

  @Test func pairs() throws { try ReferenceTests.pairs(tokenizer(), Fixture.digests("minilm.txt")) }
}

private enum Pretrained {
  static var folder: String? { ProcessInfo.processInfo.environment["MINILM_DIR"] }
}
