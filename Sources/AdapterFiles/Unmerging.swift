import Files

/// Gives back the base that a model was merged from.
public enum Unmerging {
  /// Compares every file of the base in `base` (nil: where it lay) with what was merged, and writes them to `folder`, byte for byte; with
  /// no folder it only compares. A merge never changes its base, so nothing has to be subtracted, and nothing is rounded.
  ///
  /// Refuses a directory that records no merge, and a base of which a byte has changed since. The base, the merged directory and
  /// `inputs` are never replaced.
  @discardableResult
  public static func unmerge(
    _ merged: String, base: String? = nil, existing: AtomicDirectory.Existing = .refuse, inputs: [String] = [],
    to folder: String?
  ) throws(FileError) -> MergeRecord {
    let record = try MergeRecord(in: merged)
    let base = base ?? record.base
    guard Folder.isFolder(base) else {
      throw FileError(
        .missing, base, "there is no such directory", cause: "\(merged) was merged from it", remedy: "say where the base is")
    }
    let names = Set(record.baseFiles.map(\.name))
    func owns(_ name: String) -> Bool { names.contains(name) || Companions.isOfModel(name) }
    let inputs = inputs + [base, merged]
    if let folder { try AtomicDirectory.check(folder, existing: existing, owns: owns, inputs: inputs) }
    for file in record.baseFiles {
      let path = Folder.join(base, file.name)
      guard Folder.isFile(path) else {
        throw FileError(
          .missing, path, "does not exist", cause: "\(merged) was merged from it", remedy: "give the base as it was")
      }
      guard try MergeRecord.file(file.name, in: base) == file else {
        throw FileError(
          .badData, path, "is not the file that \(merged) was merged from: its SHA-256 differs", remedy: "give the base as it was"
        )
      }
    }
    guard let folder else { return record }
    let directory = try AtomicDirectory(folder, existing: existing, owns: owns, inputs: inputs)
    for file in record.baseFiles {
      try Companions.copy(file.name, from: base, to: directory.partial)
      // What is on the disk now, not what was read before.
      guard try MergeRecord.file(file.name, in: directory.partial) == file else {
        throw FileError(.io, Folder.join(base, file.name), "changed while it was copied", remedy: "run again")
      }
    }
    try directory.commit()
    return record
  }
}
