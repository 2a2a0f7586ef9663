import Files
import JSON

/// What a merged model directory was made from, in a file of its own beside the weights: the base's files and the adapter's, with
/// their checksums.
public struct MergeRecord: Sendable {
  public static let fileName = "merge_record.json"
  /// Of the record's own form; a reader refuses what is newer than it knows.
  static let format = 1

  public struct File: Sendable, Hashable {
    public var name: String
    public var size: Int
    /// SHA-256 of all its bytes.
    public var sha256: String
  }

  /// Where the base lay when it was merged.
  public var base: String
  /// The fingerprint of the base's weights, as adapters hold it.
  public var baseDigest: String
  /// The base's weights, config, tokenizer and licence.
  public var baseFiles: [File]
  /// Where the adapter lay, nil where it came from no folder.
  public var adapter: String?
  public var adapterFiles: [File] = []

  /// Reads every byte of the base once.
  init(of base: ModelDirectory, adapter: String?) throws(FileError) {
    self.base = Folder.absolute(base.path)
    baseDigest = try base.digest()
    baseFiles = try Self.names(base).map { (name) throws(FileError) in try Self.file(name, in: base.path) }
    guard let adapter else { return }
    self.adapter = Folder.absolute(adapter)
    for name in try Folder.names(in: adapter) where AdapterFolder.owns(name) {
      adapterFiles.append(try Self.file(name, in: adapter))
    }
  }

  private static func names(_ base: ModelDirectory) throws(FileError) -> [String] {
    let others = ["config.json", "model.safetensors.index.json"].filter { Folder.isFile(Folder.join(base.path, $0)) }
    let record = Folder.isFile(Folder.join(base.path, fileName)) ? [fileName] : []
    let weights = base.shards.map { Folder.split($0.path).name }
    return Set(others + record + weights + (try Companions.names(in: base.path))).sorted()
  }

  static func file(_ name: String, in folder: String) throws(FileError) -> File {
    let file = try MappedFile(Folder.join(folder, name))
    return file.withBytes { File(name: name, size: $0.count, sha256: SHA256.hex($0)) }
  }

  /// The record in a merged model's directory.
  public init(in folder: String) throws(FileError) {
    let path = Folder.join(folder, Self.fileName)
    guard Folder.isFolder(folder), Folder.isFile(path) else {
      throw FileError(
        .missing, folder, "has no \(Self.fileName)",
        cause: Folder.isFolder(folder) ? "no merge wrote this directory" : "there is no such directory",
        remedy: "give a directory that `merge` wrote")
    }
    let json = try TextFile.readJSON(path, maximumBytes: 1 << 24)
    func fault(_ what: String) -> FileError {
      FileError(.badData, path, what, remedy: "restore the file as it was written")
    }
    guard let format = json["format"]?.int else { throw fault("has no format") }
    guard (1...Self.format).contains(format) else {
      throw FileError(
        .badData, path, "has format \(format)", cause: "this version reads up to \(Self.format)", remedy: "use a newer version")
    }
    func files(_ key: String) throws(FileError) -> [File] {
      var files: [File] = []
      for member in json[key]?.members ?? [] {
        // Names of files here, or in a folder here, and nowhere else.
        let parts = member.key.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.allSatisfy(Companions.isName), let size = member.value["bytes"]?.int,
          let sha256 = member.value["sha256"]?.string
        else {
          throw fault("\(key): '\(printable(member.key))' is no file with bytes and sha256")
        }
        files.append(File(name: member.key, size: size, sha256: sha256))
      }
      return files
    }
    guard let base = json["base"]?.string, let digest = json["base_digest"]?.string else { throw fault("names no base") }
    (self.base, baseDigest) = (base, digest)
    baseFiles = try files("base_files")
    guard !baseFiles.isEmpty else { throw fault("base_files is empty") }
    adapter = json["adapter"]?.string
    adapterFiles = try files("adapter_files")
  }

  var json: JSON {
    func files(_ files: [File]) -> JSON {
      .object(files.map { JSON.Member($0.name, ["bytes": .int($0.size), "sha256": .string($0.sha256)]) })
    }
    return [
      "format": .int(Self.format), "base": .string(base), "base_digest": .string(baseDigest), "base_files": files(baseFiles),
      "adapter": adapter.map(JSON.string) ?? .null, "adapter_files": files(adapterFiles),
    ]
  }
}
