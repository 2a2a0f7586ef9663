import Foundation
import JSON
import Testing

@testable import Tokenization

/// A pretrained model's own tokenizer, where one can be had.
///
/// `MINILM_DIR` names the model's folder and `MINILM_DIGESTS` a file that `Fixtures/make.py --rows TOKENIZER` wrote of its
/// `tokenizer.json`; without both the suite is reported as skipped.
@Suite(.enabled(if: Pretrained.paths != nil, "MINILM_DIR and MINILM_DIGESTS name no folder and file"))
struct PretrainedTests {
  @Test func agreesWithTheLibrary() throws {
    let paths = try #require(Pretrained.paths)
    let tokenizer = try Tokenizer(parsing: Data(contentsOf: URL(fileURLWithPath: paths.tokenizer)))
    let rows = String(decoding: try Data(contentsOf: URL(fileURLWithPath: paths.digests)), as: UTF8.self).split(separator: "\n")
    let texts = try Fixture.texts()
    try #require(rows.count == texts.count)
    for (i, text) in texts.enumerated() {
      let (ids, bare) = (tokenizer.encode(text), tokenizer.encode(text, addSpecialTokens: false))
      let decoded = [true, false].map { tokenizer.decode(ids, skipSpecialTokens: $0) }
      let digests = [digest("\(listed(ids))|\(listed(bare))"), digest(decoded.joined(separator: "\0"))]
      if !rows[i].hasPrefix(digests.joined(separator: " ")) { Issue.record("line \(i + 1): \(quoted(text)): \(ids)") }
    }
  }
}

private enum Pretrained {
  static var paths: (tokenizer: String, digests: String)? {
    let environment = ProcessInfo.processInfo.environment
    guard let folder = environment["MINILM_DIR"], let digests = environment["MINILM_DIGESTS"] else { return nil }
    let tokenizer = folder + "/tokenizer.json"
    let manager = FileManager.default
    return manager.fileExists(atPath: tokenizer) && manager.fileExists(atPath: digests) ? (tokenizer, digests) : nil
  }
}
