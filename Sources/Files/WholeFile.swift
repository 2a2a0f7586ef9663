import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A file that appears under its name whole, or not at all.
///
/// What is written goes to a hidden neighbour; ``commit()`` brings it to the disk and renames it, replacing a file of that name in
/// one step. An object that is dropped without `commit` removes its neighbour. After a crash `.name.partial-…` may be left behind.
///
/// A device or a pipe of that name stays what it is: it is written into directly. So does a link: the file it leads to is
/// replaced.
public final class WholeFile {
  public let path: String
  /// Nil where the name belongs to a device or a pipe.
  private let partial: String?
  /// Where the file comes to lie: ``path``, links followed.
  private let place: String
  private let file: Descriptor
  private var pending: [UInt8] = []
  private var isOpen = true

  /// Bytes handed to the descriptor so far, and waiting.
  public private(set) var count = 0

  private static let pendingLimit = 1 << 16

  public init(_ path: String) throws(FileError) {
    guard !["", ".", ".."].contains(Folder.split(path).name), !path.hasSuffix("/") else {
      throw FileError(.cannotCreate, path, "names no file")
    }
    guard !Folder.isFolder(path) else { throw FileError(.cannotCreate, path, "is a folder, not a file") }
    self.path = path
    guard !Folder.exists(path) || Folder.isFile(path) else {
      (partial, place) = (nil, path)
      file = try Descriptor(path, O_WRONLY, failure: .cannotCreate, "cannot be opened for writing")
      return
    }
    place = Folder.followed(path)
    let (folder, name) = Folder.split(place)
    let partial = Folder.join(folder, partialName(name))
    self.partial = partial
    do throws(FileError) {
      file = try Descriptor(partial, O_WRONLY | O_CREAT | O_EXCL, failure: .cannotCreate, "cannot be created")
    } catch {
      // The user asked for `path`; the neighbour's name is our affair.
      var error = error
      error.path = path
      if !Folder.isFolder(folder) { error.remedy = "create the folder \(folder) first" }
      throw error
    }
  }

  deinit { discard() }

  public func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    precondition(isOpen, "written after commit")
    count += bytes.count
    if pending.count + bytes.count <= Self.pendingLimit {
      pending.append(contentsOf: bytes)
      return
    }
    try flush()
    if bytes.count >= Self.pendingLimit {
      try named { () throws(FileError) in try file.write(bytes) }
    } else {
      pending.append(contentsOf: bytes)
    }
  }

  public func write(_ bytes: [UInt8]) throws(FileError) {
    let result = bytes.withUnsafeBytes { raw in Result { () throws(FileError) in try write(raw) } }
    try result.get()
  }

  public func write(_ text: String) throws(FileError) {
    try write(Array(text.utf8))
  }

  /// Brings the content to the disk, gives it its name, and brings the name to the disk.
  public func commit() throws(FileError) {
    precondition(isOpen, "committed twice")
    do throws(FileError) {
      try flush()
      try named { () throws(FileError) in
        try file.sync()
        try file.finish()
      }
      guard let partial else {
        isOpen = false
        return
      }
      guard rename(partial, place) == 0 else {
        throw FileError.system(.cannotCreate, path, "cannot be put in place", errno: errno)
      }
    } catch {
      discard()
      throw error
    }
    isOpen = false
    try Folder.sync(Folder.split(place).folder)
  }

  /// Removes what was written; nothing happens after `commit`.
  public func discard() {
    guard isOpen else { return }
    isOpen = false
    pending = []
    if let partial { unlink(partial) }
  }

  /// Writes a whole text in one call.
  public static func write(_ text: String, to path: String) throws(FileError) {
    try write(Array(text.utf8), to: path)
  }

  public static func write(_ bytes: [UInt8], to path: String) throws(FileError) {
    let file = try WholeFile(path)
    try file.write(bytes)
    try file.commit()
  }

  private func flush() throws(FileError) {
    guard !pending.isEmpty else { return }
    let result = pending.withUnsafeBytes { raw in
      Result { () throws(FileError) in try named { () throws(FileError) in try file.write(raw) } }
    }
    pending.removeAll(keepingCapacity: true)
    try result.get()
  }

  /// Errors of the neighbour, told of the file.
  private func named(_ body: () throws(FileError) -> Void) throws(FileError) {
    do throws(FileError) { try body() } catch {
      var error = error
      error.path = path
      throw error
    }
  }
}

private let partialCount = Atomic<Int>(0)

/// A hidden name beside `name` that no other process and no other call uses.
func partialName(_ name: String, _ word: String = "partial") -> String {
  ".\(name).\(word)-\(getpid())-\(partialCount.add(1, ordering: .relaxed).newValue)"
}
