import Files
import JSON
import Registry

/// The files of a comparison's folder. A trial has one when it is done, so that an interrupted comparison loses none that is.
///
/// `trials/NAME.json` is a result; `trials/NAME/` a trial that was stopped, with a checkpoint; `trials/base.json` what the untouched
/// base scores. Each carries the digest of all that it follows from.
struct TrialStore {
  let output: String

  private var folder: String { Folder.join(output, "trials") }

  /// Everything that a comparison writes into its folder.
  static let names: Set<String> = ["trials", "comparison.json", "comparison.csv", "comparison.html", ".lock"]

  /// Refuses a folder with anything in it that no comparison writes.
  func check() throws(FileError) {
    guard Folder.exists(output) else { return }
    guard Folder.isFolder(output) else {
      throw FileError(.cannotCreate, output, "is a file, not a folder", remedy: "choose another --output")
    }
    for name in try Folder.names(in: output) where !Self.names.contains(name) && !name.hasPrefix(".comparison.") {
      throw FileError(
        .cannotCreate, output, "holds '\(printable(name))', which belongs to no comparison", remedy: "choose another --output")
    }
  }

  func prepare(overwrites: Bool) throws(FileError) {
    if overwrites { for name in Self.names where name != ".lock" { try Folder.remove(Folder.join(output, name)) } }
    try Folder.create(folder)
  }

  /// The partial trial's own folder.
  func place(of trial: Trial) -> String { Folder.join(folder, trial.fileName) }

  func result(of trial: Trial, digest: String) throws(FileError) -> TrialResult? {
    try read(trial.fileName, digest).flatMap { TrialResult($0) }.flatMap { $0.trial == trial ? $0 : nil }
  }

  func write(_ result: TrialResult, digest: String) throws(FileError) {
    try write(result.trial.fileName, result.json, digest)
    try Folder.remove(place(of: result.trial))
  }

  func base(digest: String) throws(FileError) -> BaseScores? { try read("base", digest).map { BaseScores($0) } }

  func write(_ base: BaseScores, digest: String) throws(FileError) { try write("base", base.json, digest) }

  private func read(_ name: String, _ digest: String) throws(FileError) -> JSON? {
    let path = Folder.join(folder, name + ".json")
    guard Folder.isFile(path) else { return nil }
    let json = try TextFile.readJSON(path)
    guard json["digest"]?.string == digest else {
      throw FileError(
        .cannotCreate, path, "follows from another run file, method, data, base or version of the program",
        remedy: "choose another --output, or begin anew with --overwrite")
    }
    return json["result"]
  }

  private func write(_ name: String, _ json: JSON, _ digest: String) throws(FileError) {
    let whole: JSON = ["digest": .string(digest), "result": json]
    try WholeFile.write(whole.text(indented: true) + "\n", to: Folder.join(folder, name + ".json"))
  }
}

/// Losses of the untouched base, per learned token; nil where there is nothing to measure on.
public struct BaseScores: Sendable, Equatable {
  public var validation: Double?
  public var heldOut: Double?
  public var ownText: Double?

  init(validation: Double? = nil, heldOut: Double? = nil, ownText: Double? = nil) {
    self.validation = validation
    self.heldOut = heldOut
    self.ownText = ownText
  }

  init(_ json: JSON) {
    self.init(validation: json["validation"]?.double, heldOut: json["held_out"]?.double, ownText: json["own_text"]?.double)
  }

  var json: JSON { ["validation": .init(validation), "held_out": .init(heldOut), "own_text": .init(ownText)] }
}

extension Comparison {
  /// What a trial's result follows from, as one number.
  func digest(of trial: Trial, _ file: RunFile) -> String {
    var file = file
    // Where things lie does not count; what they hold does.
    (file.baseModel, file.outputDir, file.samples, file.saveEvery, file.evalEvery) = ("", "", nil, nil, nil)
    (file.data.train, file.data.valid, file.data.test) = (file.data.train.map { _ in "" }, nil, nil)
    file.data.tokens = file.data.tokens.map { _ in "" }
    return digest("trial \(trial.label)\neval_every \(evalEvery)\n\(file.resolvedText)")
  }

  func digest(_ text: String) -> String {
    var hash = SHA256()
    hash.update("peft-trial-1\n\(settings.program)\n\(inputs)\n\(text)")
    return hash.hex
  }
}

extension ComparisonData {
  /// Of the base and of all that is learned from or measured on.
  func fingerprints(_ session: RunSession) throws(FileError) -> String {
    let directory = session.model.directory
    let base = directory.tensorNames.isEmpty ? "drawn" : try directory.digest()
    let parts = [session.training, validation, heldOut, ownText].map { BatchPlan($0, batchSize: 1, shuffles: false).digest }
    return ([base] + parts).joined(separator: " ")
  }
}
