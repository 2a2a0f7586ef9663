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

  /// Refuses a folder with the work of another run; one that holds anything else is welcome.
  static func check(for session: RunSession) throws {
    let folder = session.file.outputDir
    if let newest = try Checkpoint.newest(in: folder) {
      let isLast = Checkpoint.isLast(newest)
      throw OccupiedFolder(
        folder: folder, content: isLast ? "holds a finished run" : "holds a run that was stopped", isResumable: !isLast)
    }
    let results = (session.sites.isEmpty ? [] : ["adapter"]) + (session.parameterization.trainable.base ? ["model"] : [])
    for name in results where Folder.exists(Folder.join(folder, name)) {
      throw OccupiedFolder(folder: folder, content: "holds `\(name)`", isResumable: false)
    }
  }
}
