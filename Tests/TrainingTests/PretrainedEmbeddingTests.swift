import Engine
import Files
import Foundation
import JSON
import Models
import PEFTKernel
import Testing
import Tokenization

/// all-MiniLM-L6-v2 as it is, from text to embedding, against what transformers made of the same texts.
///
/// `MINILM_DIR` names the model's folder, as `Scripts/minilm` fetches it; without it the suite is reported as skipped.
@Suite(.enabled(if: MiniLM.folder != nil, "MINILM_DIR names no folder; Scripts/minilm fetches the model"))
struct PretrainedEmbeddingTests {
  @Test func embeddingsAreTheLibrarys() throws {
    let folder = try #require(MiniLM.folder)
    let model = try #require(try ModelLoader.open(folder, head: .none) as? any TextEncoder)
    #expect(model.freshParameters.isEmpty)
    let tokenizer = try Tokenizer(parsing: Data(contentsOf: URL(fileURLWithPath: folder + "/tokenizer.json")))
    let reference = try SafetensorsFile(Folder.tidied(Folder.join(#filePath, "../Fixtures/minilm/embeddings.safetensors")))
    let (wanted, width) = (try reference.floats(of: "embeddings"), model.hiddenSize)
    let rows = try TextFile.read(Folder.tidied(Folder.join(#filePath, "../../../examples/data/fortunes/eval.jsonl")))
    let texts = try rows.split(separator: "\n").prefix(200).map { try #require(try JSON(parsing: $0.utf8)["text"]?.string) }
    try #require(texts.count == 200 && wanted.count == 200 * width)
    var largest: Float = 0
    for start in stride(from: 0, to: texts.count, by: 20) {
      let ids = texts[start..<start + 20].map { tokenizer.encode($0).map { Int32($0) } }
      let layout = RowLayout(lengths: ids.map(\.count))
      let run = ModelRun(pass: Pass(now: Moment(), rows: layout, sites: []))
      let made = model.encode(Array(ids.joined()), run).mean(over: layout).unitRows().floats
      let difference = zip(made, wanted[(start * width)...]).map { abs($0 - $1) }.max() ?? .infinity
      #expect(made.count == 20 * width && difference < 1e-4, "texts from \(start): \(difference)")
      largest = max(largest, difference)
    }
    if ProcessInfo.processInfo.environment["PEFT_PARITY"] != nil { print("parity: all-MiniLM-L6-v2 embeddings \(largest)") }
  }
}

enum MiniLM {
  static var folder: String? { ProcessInfo.processInfo.environment["MINILM_DIR"] }
}
