#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A folder that appears under its name whole, or not at all.
///
/// Files are made in ``partial``, a hidden neighbour; ``commit()`` brings all of them to the disk and renames the folder. An object
/// that is dropped without `commit` removes the neighbour. After a crash `.name.partial-…` may be left behind.
public final class AtomicDirectory {
  /// What to do about a folder that has the name already.
  public enum Existing: Sendable {
    case refuse
    /// It is renamed aside, the new one takes its name, and only then it is deleted. Between the two renames neither has
    /// the name; a crash there leaves both whole, the old one as `.name.old-…`.
    case replace
  }

  /// The final path, without slashes at its end.
  public let path: String
  /// Where to put the files.
  public let partial: String
  private let parent: String
  private let name: String
  private let existing: Existing
  private var isOpen = true

  /// Creates the neighbour, and the folders above it where they are missing.
  public init(_ path: String, existing: Existing = .refuse) throws(FileError) {
    (parent, name) = Folder.split(path)
    guard !["", ".", ".."].contains(name) else { throw FileError(.cannotCreate, path, "names no new folder") }
    self.path = parent == "." && !path.hasPrefix("./") ? name : Folder.join(parent, name)
    self.existing = existing
    partial = Folder.join(parent, partialName(name))
    isOpen = false
    try refuseExisting()
    try Folder.create(parent)
    try Folder.create(partial)
    isOpen = true
  }

  deinit { discard() }

  /// Brings everything to the disk and gives it its name.
  public func commit() throws(FileError) {
    precondition(isOpen, "committed twice")
    do throws(FileError) {
      try refuseExisting()
      try Self.sync(partial)
      try place()
    } catch {
      discard()
      throw error
    }
  }

  /// Removes what was written; nothing happens after `commit`.
  public func discard() {
    guard isOpen else { return }
    isOpen = false
    // Best effort: the error that led here is the one to report.
    try? Folder.remove(partial)
  }

  private func refuseExisting() throws(FileError) {
    guard Folder.exists(path) else { return }
    guard Folder.isFolder(path) else { throw FileError(.cannotCreate, path, "is a file; a folder is to be written there") }
    guard existing == .replace else {
      throw FileError(.cannotCreate, path, "exists already", remedy: "choose another name or remove it")
    }
  }

  private func place() throws(FileError) {
    let old = Folder.join(parent, partialName(name, "old"))
    // Where refusing was asked, what came into being meanwhile is left to the second rename, which refuses it.
    let hadOld = existing == .replace && rename(path, old) == 0
    guard hadOld || existing == .refuse || errno == ENOENT else {
      throw .system(.cannotCreate, path, "cannot be renamed aside", errno: errno)
    }
    guard rename(partial, path) == 0 else {
      let code = errno
      if hadOld { rename(old, path) }
      throw .system(.cannotCreate, path, "cannot be put in place", errno: code)
    }
    isOpen = false
    try Folder.sync(parent)
    if hadOld { try Folder.remove(old) }
  }

  /// Every file below, then the folders that name them.
  private static func sync(_ folder: String) throws(FileError) {
    for name in try Folder.names(in: folder) {
      let path = Folder.join(folder, name)
      if Folder.isFolder(path) {
        try sync(path)
      } else if Folder.isFile(path) {
        try Descriptor(path, O_RDONLY, failure: .io, "cannot be written to the disk").sync()
      }
    }
    try Folder.sync(folder)
  }
}
