import JSON

/// A model directory as Hugging Face lays it out: `config.json`, and weights in one `model.safetensors` or in shards that
/// `model.safetensors.index.json` lists. Knows nothing of model families.
public struct ModelDirectory: Sendable {
  public let path: String
  /// The object in `config.json`.
  public let config: JSON
  /// The object in `generation_config.json`, nil where there is none.
  public let generationConfig: JSON?
  /// In order of their bytes, the same however the weights are sharded.
  public let tensorNames: [String]
  /// The weight files, in order of their names.
  public let shards: [SafetensorsFile]
  private let places: [String: Int]

  /// Opens a model whose weights are in `path`.
  public init(_ path: String) throws(FileError) {
    config = try Self.configuration(path)
    let generation = Folder.join(path, "generation_config.json")
    generationConfig = Folder.isFile(generation) ? try Self.readConfiguration(generation) : nil
    (shards, places) = try Self.weights(path)
    tensorNames = places.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    self.path = path
  }

  /// A model that is described but has no weights yet: `path` is its folder or the config.json in it.
  public init(configurationOf path: String) throws(FileError) {
    self.path = Folder.isFile(path) ? Folder.split(path).folder : path
    config = try Folder.isFile(path) ? Self.readConfiguration(path) : Self.configuration(path)
    (tensorNames, shards, places, generationConfig) = ([], [], [:], nil)
  }

  private static func configuration(_ path: String) throws(FileError) -> JSON {
    try demandFolder(path)
    let configPath = Folder.join(path, "config.json")
    guard Folder.isFile(configPath) else {
      let remedy =
        Folder.isFile(Folder.join(path, "adapter_config.json"))
        ? "this is an adapter; give the base model's directory" : "copy config.json beside the weights"
      throw FileError(.missing, path, "has no config.json", remedy: remedy)
    }
    return try readConfiguration(configPath)
  }

  private static func readConfiguration(_ path: String) throws(FileError) -> JSON {
    // As a value a document takes many times its bytes, and a stranger's could fill any memory.
    let config = try TextFile.readJSON(path, maximumBytes: 1 << 24)
    guard config.members != nil else { throw FileError(.badData, path, "is no JSON object") }
    return config
  }

  public func entry(_ name: String) -> TensorEntry? { shard(name)?.entry(name) }

  /// The file that holds a tensor: hold on to it for as long as its bytes are used.
  public func shard(_ name: String) -> SafetensorsFile? { places[name].map { shards[$0] } }

  /// See ``SafetensorsFile/bytes(of:)``.
  public func bytes(of name: String) throws(FileError) -> UnsafeRawBufferPointer { try known(name).bytes(of: name) }

  public func floats(of name: String) throws(FileError) -> [Float] { try known(name).floats(of: name) }

  private func known(_ name: String) throws(FileError) -> SafetensorsFile {
    guard let shard = shard(name) else { throw FileError(.badData, path, "has no tensor '\(printable(name))'") }
    return shard
  }
}

// MARK: - Opening

extension ModelDirectory {
  private static let single = "model.safetensors"
  private static let index = "model.safetensors.index.json"

  private static func demandFolder(_ path: String) throws(FileError) {
    if Folder.isFolder(path) { return }
    if Folder.exists(path) {
      throw FileError(.missing, path, "is a file", remedy: "give the directory that holds it")
    }
    throw FileError(
      .missing, path, "there is no such directory",
      remedy: "give a local model directory; nothing is fetched over the network")
  }

  private static func weights(_ path: String) throws(FileError) -> ([SafetensorsFile], [String: Int]) {
    let singlePath = Folder.join(path, single)
    if Folder.exists(singlePath) {
      let file = try SafetensorsFile(singlePath)
      return ([file], Dictionary(file.tensors.map { ($0.name, 0) }) { first, _ in first })
    }
    let indexPath = Folder.join(path, index)
    guard Folder.exists(indexPath) else { throw try noWeights(path) }
    return try sharded(path, indexPath)
  }

  private static func sharded(_ path: String, _ indexPath: String) throws(FileError) -> ([SafetensorsFile], [String: Int]) {
    let document = try TextFile.readJSON(indexPath)
    guard let map = document["weight_map"]?.members, !map.isEmpty else {
      throw FileError(.badData, indexPath, "has no weight_map")
    }
    var names: Set<String> = []
    for member in map {
      guard let name = member.value.string else {
        throw FileError(.badData, indexPath, "weight_map names no file for '\(printable(member.key))'")
      }
      // Only files of this directory: an index is a stranger's and could point anywhere.
      guard !name.isEmpty, !name.hasPrefix("."), !name.utf8.contains(where: { [0, 0x2F, 0x5C].contains($0) }) else {
        throw FileError(.badData, indexPath, "names the shard '\(printable(name))', which is no file of this directory")
      }
      names.insert(name)
    }
    let ordered = names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    var shards: [SafetensorsFile] = []
    for name in ordered {
      let shardPath = Folder.join(path, name)
      guard Folder.exists(shardPath) else {
        let absent = ordered.count { !Folder.exists(Folder.join(path, $0)) }
        throw FileError(
          .missing, shardPath, "is named in \(index) but does not exist", cause: "\(absent) of \(ordered.count) shards missing",
          remedy: "copy or download the model's missing files")
      }
      shards.append(try SafetensorsFile(shardPath))
    }
    let numbers = Dictionary(ordered.enumerated().map { ($1, $0) }) { first, _ in first }
    var places: [String: Int] = [:]
    for member in map {
      guard let number = member.value.string.flatMap({ numbers[$0] }) else { continue }
      guard shards[number].entry(member.key) != nil else {
        throw FileError(
          .badData, shards[number].path, "has no tensor '\(printable(member.key))', which \(index) says it holds",
          remedy: "copy or download index and shards again, from one revision")
      }
      places[member.key] = number
    }
    return (shards, places)
  }

  private static func noWeights(_ path: String) throws(FileError) -> FileError {
    let names = try Folder.names(in: path)
    func first(_ suffixes: [String]) -> String? { names.first { name in suffixes.contains { name.hasSuffix($0) } } }
    let what = "has no \(single) and no \(index)"
    if let other = first([".safetensors"]) {
      return FileError(.missing, path, what, cause: "there is \(other)", remedy: "a model's weights must have one of these names")
    }
    if let pickle = first([".bin", ".pt", ".pth", ".ckpt", ".pkl"]) {
      return FileError(
        .missing, path, what, cause: "there is \(pickle)", remedy: "pickle files are refused: convert to safetensors")
    }
    if let other = first([".gguf", ".h5", ".msgpack", ".npz"]) {
      return FileError(.missing, path, what, cause: "there is \(other)", remedy: "convert to safetensors")
    }
    return FileError(.missing, path, what, remedy: "copy or download the model's weights")
  }
}
