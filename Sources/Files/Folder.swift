#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Folders and the names in them.
public enum Folder {
  /// The names in a folder, hidden ones included, in order of their bytes.
  public static func names(in path: String) throws(FileError) -> [String] {
    guard !path.isEmpty, !path.utf8.contains(0) else { throw FileError(.missing, path, "is no path") }
    guard let stream = opendir(path) else {
      throw .system(.missing, path, "cannot be listed", errno: errno)
    }
    defer { closedir(stream) }
    var names: [String] = []
    errno = 0
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
      errno = 0
    }
    guard errno == 0 else { throw .system(.io, path, "cannot be listed", errno: errno) }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// Whether something of that name exists, links followed.
  public static func exists(_ path: String) -> Bool { mode(path) != nil }

  public static func isFolder(_ path: String) -> Bool { mode(path).map { $0 & S_IFMT == S_IFDIR } ?? false }

  public static func isFile(_ path: String) -> Bool { mode(path).map { $0 & S_IFMT == S_IFREG } ?? false }

  /// Where the links at the end of a path lead, whether or not anything is there.
  static func followed(_ path: String) -> String {
    var path = path
    for _ in 0..<40 {
      guard let mode = mode(path, AT_SYMLINK_NOFOLLOW), mode & S_IFMT == S_IFLNK else { break }
      let target = withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX)) { buffer in
        let count = buffer.baseAddress.map { readlink(path, $0, buffer.count) } ?? 0
        return count > 0 ? String(validating: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
      }
      guard let target else { break }
      path = target.hasPrefix("/") ? target : join(split(path).folder, target)
    }
    return path
  }

  /// The one path without links of something that exists.
  public static func real(_ path: String) -> String? {
    guard !path.utf8.contains(0), let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  /// Creates a folder and those above it; one that exists is left as it is.
  public static func create(_ path: String) throws(FileError) {
    if isFolder(path) { return }
    guard !path.isEmpty, !path.utf8.contains(0) else { throw FileError(.cannotCreate, path, "is no path") }
    guard !exists(path) else {
      throw FileError(.cannotCreate, path, "is no folder", cause: "there is a file of that name", remedy: "choose another folder")
    }
    let (parent, _) = split(path)
    if parent != path { try create(parent) }
    guard mkdir(path, 0o777) == 0 || (errno == EEXIST && isFolder(path)) else {
      throw .system(.cannotCreate, path, "cannot be created", errno: errno)
    }
  }

  /// Removes a file, or a folder with all in it; links are removed, not followed. What does not exist is no error.
  public static func remove(_ path: String) throws(FileError) {
    guard let mode = mode(path, AT_SYMLINK_NOFOLLOW) else { return }
    if mode & S_IFMT == S_IFDIR {
      for name in try names(in: path) { try remove(join(path, name)) }
      guard rmdir(path) == 0 || errno == ENOENT else { throw .system(.io, path, "cannot be removed", errno: errno) }
    } else {
      guard unlink(path) == 0 || errno == ENOENT else { throw .system(.io, path, "cannot be removed", errno: errno) }
    }
  }

  public static func join(_ folder: String, _ name: String) -> String {
    folder.isEmpty ? name : folder.hasSuffix("/") ? folder + name : folder + "/" + name
  }

  /// The path from the root, by the working directory of now; `..` stays, because links may stand before it.
  public static func absolute(_ path: String) -> String {
    guard !path.hasPrefix("/"), let here = getcwd(nil, 0) else { return path }
    defer { free(here) }
    var rest = Substring(path)
    while rest.hasPrefix("./") { rest = rest.dropFirst(2) }
    return rest.isEmpty || rest == "." ? String(cString: here) : join(String(cString: here), String(rest))
  }

  /// The same place without `.`, doubled slashes and names that a `..` takes back; a `..` behind a link stays, because it
  /// leads elsewhere.
  public static func tidied(_ path: String) -> String {
    let separator = UInt8(ascii: "/")
    let root = path.utf8.first == separator ? "/" : ""
    var names: [String] = []
    for part in path.utf8.split(separator: separator) {
      let name = String(Substring(part))
      if name == "." { continue }
      if name == ".." {
        if names.isEmpty, !root.isEmpty { continue }
        let before = root + names.joined(separator: "/")
        if let last = names.last, last != "..", mode(before, AT_SYMLINK_NOFOLLOW).map({ $0 & S_IFMT != S_IFLNK }) ?? true {
          names.removeLast()
          continue
        }
      }
      names.append(name)
    }
    let tidy = root + names.joined(separator: "/")
    return tidy.isEmpty && !path.isEmpty ? "." : tidy
  }

  /// Folder and last name of a path, slashes at its end ignored: `("runs", "first")` of `runs/first/`, `(".", "x")` of `x`.
  public static func split(_ path: String) -> (folder: String, name: String) {
    // By bytes, as the system splits: a slash and a combining accent after it are one `Character`.
    let separator = UInt8(ascii: "/")
    var rest = path.utf8[...]
    while rest.count > 1, rest.last == separator { rest.removeLast() }
    guard let slash = rest.lastIndex(of: separator) else { return (".", String(Substring(rest))) }
    let folder = rest[..<slash]
    return (folder.isEmpty ? "/" : String(Substring(folder)), String(Substring(rest[rest.index(after: slash)...])))
  }

  /// Waits until the folder's list of names is on the disk.
  static func sync(_ path: String) throws(FileError) {
    try Descriptor(path, O_RDONLY | O_DIRECTORY, failure: .io, "cannot be written to the disk").sync()
  }

  private static func mode(_ path: String, _ flags: Int32 = 0) -> mode_t? {
    var found = stat()
    guard !path.utf8.contains(0), fstatat(AT_FDCWD, path, &found, flags) == 0 else { return nil }
    return found.st_mode
  }
}
