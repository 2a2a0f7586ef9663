import Files
import Models
import PEFTKernel
import Registry

/// The parts a comparison measures on. What is trained on stands in the run file.
struct ComparisonData: Sendable {
  /// Chooses the learning rate, and draws the curves.
  let validation: [Example]
  /// Reported, and looked at for nothing else.
  let heldOut: [Example]
  /// Text that the base was made of; empty where there is none.
  let ownText: [Example]
  /// Where the parts come from, in words.
  let places: (validation: String, heldOut: String, ownText: String?)
  let notes: [String]

  /// What a model directory calls the text that its weights were made of.
  static let ownTextName = "own_text.jsonl"

  init(_ session: RunSession, heldOut held: String?, ownText own: String?) throws {
    let file = session.file
    var data = session.data
    guard let valid = data.places.validation else {
      throw file.fault(
        Refusal(
          "a comparison needs `data.valid`: learning rates are chosen on it",
          remedy: "name a file of examples there, or cut one off with `data.split`"),
        at: "data")
    }
    for path in [held, own].compactMap(\.self) where !Folder.isFile(path) {
      throw FileError(.missing, path, Folder.exists(path) ? "is no file" : "there is no such file")
    }
    if let held {
      validation = session.validation
      heldOut = try data.read(held, lossOn: file.data.lossOn)
      places.validation = valid
      places.heldOut = held
    } else if let test = data.places.test {
      (validation, heldOut) = (session.validation, session.test)
      (places.validation, places.heldOut) = (valid, test)
    } else {
      guard session.validation.count > 1 else {
        throw file.fault(
          Refusal(
            "data.valid has one example, and a comparison needs two parts: one chooses, the other reports",
            remedy: "give more examples, `data.test`, or --held-out"),
          at: "data.valid")
      }
      validation = Self.every(second: 0, of: session.validation)
      heldOut = Self.every(second: 1, of: session.validation)
      places.validation = "rows 1, 3, 5, … of \(valid)"
      places.heldOut = "rows 2, 4, 6, … of \(valid)"
    }
    // A base that is drawn has no text of its own.
    let shipped = Folder.join(session.model.directory.path, Self.ownTextName)
    let path = own ?? (!file.fromScratch && Folder.isFile(shipped) ? shipped : nil)
    ownText = try path.map { try data.read($0, lossOn: .all) } ?? []
    places.ownText = path
    notes = data.notes
  }

  private static func every(second offset: Int, of examples: [Example]) -> [Example] {
    stride(from: offset, to: examples.count, by: 2).map { examples[$0] }
  }
}
