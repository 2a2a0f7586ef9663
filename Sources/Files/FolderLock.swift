#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The right to write in a folder, held by one process at a time.
///
/// The system takes it back when the process ends, however that happens; a file `.lock` that a kill leaves behind locks nothing. Two
/// locks in one process exclude one another, too.
public final class FolderLock {
  private let path: String
  /// Folders that were made for the lock, the deepest first.
  private let made: [String]
  private let file: Descriptor

  /// Creates the folder where it is missing. Refuses, at once, a folder that somebody holds.
  public init(_ folder: String) throws(FileError) {
    let path = Folder.join(folder, ".lock")
    self.path = path
    var made: [String] = []
    while true {
      made = Self.missing(folder) + made
      try Folder.create(folder)
      let file: Descriptor
      do throws(FileError) {
        file = try Descriptor(path, O_RDWR | O_CREAT, failure: .cannotCreate, "cannot be written to")
      } catch {
        // Whoever held it last may have taken the folder away just now.
        guard Folder.exists(folder) else { continue }
        var error = error
        error.path = folder
        throw error
      }
      var result: Int32
      repeat { result = flock(file.number, LOCK_EX | LOCK_NB) } while result != 0 && errno == EINTR
      // File systems without locks cannot tell; there the user has to know.
      guard result == 0 || errno != EWOULDBLOCK else {
        throw FileError(
          .cannotCreate, folder, "another process is working there", remedy: "wait until it is done, or use another folder")
      }
      // A file that its last holder removed meanwhile is no lock to those who come later.
      guard Self.isFile(file.number, at: path) else { continue }
      self.made = made
      self.file = file
      return
    }
  }

  /// Folders that were made for the lock and hold nothing go with it.
  deinit {
    unlink(path)
    for folder in made where rmdir(folder) != 0 { break }
  }

  private static func missing(_ folder: String) -> [String] {
    guard !folder.isEmpty, !Folder.exists(folder) else { return [] }
    let parent = Folder.split(folder).folder
    return [folder] + (parent == folder ? [] : missing(parent))
  }

  private static func isFile(_ descriptor: Int32, at path: String) -> Bool {
    var (mine, there) = (stat(), stat())
    return fstat(descriptor, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev
  }
}
