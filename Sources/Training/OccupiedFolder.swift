import Files
import Registry

/// Why a run does not begin: its folder holds what it would replace.
public struct OccupiedFolder: Error, Sendable, CustomStringConvertible {
  public var folder: String
  /// What it holds, in words.
  public var content: String
  /// Whether that is a run that can go on.
  public var isResumable: Bool

  public var description: String { "\(folder): \(content), which a new run would replace" }

  /// Refuses a folder in which a file that the run reads stands where the run would write.
  static func checkInputs(of session: RunSession) throws {
    let file = session.file
    let inputs = [file.path, file.data.train, file.data.valid, file.data.test, file.data.tokens].compactMap {
      $0.flatMap(Folder.real)
    }
    for name in [RunSession.fileName, "metrics.jsonl"] {
      guard let place = Folder.real(Folder.join(file.outputDir, name)), inputs.contains(place) else { continue }
      throw file.fault(
        FileError(.cannotCreate, place, "is read by this run, which would write over it", remedy: "use another output_dir"),
        at: "output_dir")
    }
  }

  /// Refuses a folder with the work of another run; one that holds anything else is welcome.
  static func check(for session: RunSession) throws {
    let folder = session.file.outputDir
    if let newest = try Checkpoint.newest(in: folder) {
      let isLast = Checkpoint.isLast(newest)
      throw OccupiedFolder(
        folder: folder, content: isLast ? "holds a finished run" : "holds a run that was stopped", isResumable: !isLast)
    }
    // Both belong to a run; one alone is somebody else's file.
    let own = [RunSession.fileName, "metrics.jsonl"].filter { Folder.isFile(Folder.join(folder, $0)) }
    if own.count == 1 {
      throw OccupiedFolder(folder: folder, content: "holds `\(own[0])`, but no run", isResumable: false)
    }
    let results = (session.sites.isEmpty ? [] : ["adapter"]) + (session.parameterization.trainable.base ? ["model"] : [])
    for name in results where Folder.exists(Folder.join(folder, name)) {
      throw OccupiedFolder(folder: folder, content: "holds `\(name)`", isResumable: false)
    }
  }
}
