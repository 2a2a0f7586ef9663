import Files

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The files of a model directory that are neither weights nor config.json: tokenizer, generation settings, licence.
enum Companions {
  static func copy(from source: String, to target: String) throws(FileError) {
    guard Folder.isFolder(source) else { return }
    for name in try Folder.names(in: source) where belongs(name) && Folder.isFile(Folder.join(source, name)) {
      let file = try MappedFile(Folder.join(source, name))
      let copy = try WholeFile(Folder.join(target, name))
      try file.withBytes { (bytes) throws(FileError) in try copy.write(bytes) }
      try copy.commit()
    }
  }

  static func belongs(_ name: String) -> Bool {
    let others: Set = ["config.json", AdapterFolder.configName]
    guard !name.hasPrefix("."), !others.contains(name), !name.hasSuffix(".index.json") else { return false }
    let endings = [".json", ".txt", ".model", ".jinja", ".tiktoken", ".py"]
    return name.uppercased().hasPrefix("LICENSE") || endings.contains { name.hasSuffix($0) }
  }
}

extension ModelCopy {
  /// Whether two paths lead to one folder.
  static func isSame(_ a: String, _ b: String) -> Bool {
    func real(_ path: String) -> String? {
      guard !path.utf8.contains(0), let resolved = realpath(path, nil) else { return nil }
      defer { free(resolved) }
      return String(cString: resolved)
    }
    guard let first = real(a), let second = real(b) else { return false }
    return first == second
  }
}
