#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A folder that appears under its name whole, or not at all.
///
/// Files are made in ``partial``, a hidden neighbour; ``commit()`` brings all of them to the disk and renames the folder. An object
/// that is dropped without `commit` removes the neighbour. After a crash `.name.partial-…` may be left behind.
///
/// A link of that name stays, and leads to the new folder.
public final class AtomicDirectory {
  /// What to do about a folder that has the name already.
  public enum Existing: Sendable {
    case refuse
    /// It is renamed aside, the new one takes its name, and only then it is deleted. Between the two renames neither has
    /// the name; a crash there leaves both whole, the old one as `.name.old-…`. Only a folder that holds nothing but files
    /// the new one may hold is replaced.
    case replace
  }

  /// The final path, without slashes at its end.
  public let path: String
  /// Where to put the files.
  public let partial: String
  /// Where the folder comes to lie: ``path``, links followed.
  private let place: String
  private let parent: String
  private let name: String
  private let existing: Existing
  private let owns: (String) -> Bool
  private let inputs: [String]
  private var isOpen = true

  /// Creates the neighbour, and the folders above it where they are missing.
  ///
  /// `owns` says which files a folder of this kind holds, by name, `folder/name` for those in a folder: one with anything else in it is
  /// not replaced. `inputs` are
  /// files and folders that were read: none of them is replaced, nor a folder that contains one.
  public init(
    _ path: String, existing: Existing = .refuse, owns: @escaping (String) -> Bool = { _ in false }, inputs: [String] = []
  ) throws(FileError) {
    self.path = try Self.tidy(path)
    place = Folder.followed(self.path)
    (parent, name) = Folder.split(place)
    self.existing = existing
    self.owns = owns
    self.inputs = inputs
    partial = Folder.join(parent, partialName(name))
    isOpen = false
    try Self.check(path, existing: existing, owns: owns, inputs: inputs)
    try Folder.create(parent)
    try Folder.create(partial)
    isOpen = true
  }

  deinit { discard() }

  /// Brings everything to the disk and gives it its name.
  public func commit() throws(FileError) {
    precondition(isOpen, "committed twice")
    do throws(FileError) {
      try Self.check(path, existing: existing, owns: owns, inputs: inputs)
      try Self.sync(partial)
      try putInPlace()
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

  /// Refuses what `init` with the same arguments would refuse, and creates nothing: work can be spared that would be in vain.
  public static func check(
    _ path: String, existing: Existing, owns: (String) -> Bool, inputs: [String] = []
  ) throws(FileError) {
    let path = try tidy(path)
    guard Folder.exists(path) else { return }
    guard Folder.isFolder(path) else { throw FileError(.cannotCreate, path, "is a file; a folder is to be written there") }
    let remedy = "choose another name or remove it"
    if let real = Folder.real(path) {
      for input in inputs {
        guard let place = Folder.real(input), (place + "/").hasPrefix(real == "/" ? real : real + "/") else { continue }
        throw FileError(
          .cannotCreate, path, place == real ? "is an input and is not replaced" : "contains an input and is not replaced",
          cause: place == real ? nil : input, remedy: "write to another folder")
      }
    }
    guard existing == .replace else { throw FileError(.cannotCreate, path, "exists already", remedy: remedy) }
    if let name = try alien(in: path, owns) {
      throw FileError(
        .cannotCreate, path, "is not replaced: it holds '\(printable(name))', which is nothing that is written there",
        remedy: remedy)
    }
  }

  /// The first thing in a folder that is not owned: files are, and folders of nothing but files that are owned by both names.
  private static func alien(in path: String, _ owns: (String) -> Bool) throws(FileError) -> String? {
    for name in try Folder.names(in: path) {
      let place = Folder.join(path, name)
      let files = try Folder.isFolder(place) ? Folder.names(in: place).map { "\(name)/\($0)" } : [name]
      if files.isEmpty || files.contains(where: { !owns($0) || !Folder.isFile(Folder.join(path, $0)) }) { return name }
    }
    return nil
  }

  /// The path without slashes at its end.
  private static func tidy(_ path: String) throws(FileError) -> String {
    let (parent, name) = Folder.split(path)
    guard !["", ".", ".."].contains(name) else { throw FileError(.cannotCreate, path, "names no new folder") }
    return parent == "." && !path.hasPrefix("./") ? name : Folder.join(parent, name)
  }

  private func putInPlace() throws(FileError) {
    let old = Folder.join(parent, partialName(name, "old"))
    // Where refusing was asked, what came into being meanwhile is left to the second rename, which refuses it.
    let hadOld = existing == .replace && rename(place, old) == 0
    guard hadOld || existing == .refuse || errno == ENOENT else {
      throw .system(.cannotCreate, path, "cannot be renamed aside", errno: errno)
    }
    guard rename(partial, place) == 0 else {
      let code = errno
      if hadOld { rename(old, place) }
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
