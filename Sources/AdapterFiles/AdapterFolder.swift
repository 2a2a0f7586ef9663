import Files
import JSON

/// The two files of an adapter directory, opened: `adapter_config.json` and `adapter_model.safetensors`.
struct AdapterFolder {
  static let configName = "adapter_config.json"
  static let weightsName = "adapter_model.safetensors"

  /// Whether a file of that name may be in a directory that is written.
  static func owns(_ name: String) -> Bool { [configName, weightsName].contains(name) }

  let path: String
  /// The object in adapter_config.json.
  let config: JSON
  let weights: SafetensorsFile

  var configPath: String { Folder.join(path, Self.configName) }

  init(_ path: String) throws(FileError) {
    guard Folder.isFolder(path) else {
      if Folder.exists(path) {
        throw FileError(.missing, path, "is a file", remedy: "give the adapter directory that holds it")
      }
      throw FileError(
        .missing, path, "there is no such directory",
        remedy: "give a local adapter directory; nothing is fetched over the network")
    }
    let configPath = Folder.join(path, Self.configName)
    guard Folder.isFile(configPath) else { throw Self.noConfig(path) }
    config = try TextFile.readJSON(configPath, maximumBytes: 1 << 24)
    guard config.members != nil else { throw FileError(.badData, configPath, "is no JSON object") }
    weights = try Self.weights(path)
    self.path = path
  }

  private static func noConfig(_ path: String) -> FileError {
    if let name = (try? Folder.names(in: path))?.first(where: { Folder.isFile(Folder.join(Folder.join(path, $0), configName)) }) {
      return FileError(
        .missing, path, "has no \(configName)", cause: "its folder \(printable(name)) has one",
        remedy: "give \(Folder.join(path, name))")
    }
    let holdsModel = Folder.isFile(Folder.join(path, "config.json"))
    return FileError(
      .missing, path, "has no \(configName)", cause: holdsModel ? "it holds a model" : nil,
      remedy: holdsModel ? "give an adapter directory" : "copy \(configName) beside the tensors")
  }

  private static func weights(_ path: String) throws(FileError) -> SafetensorsFile {
    let weightsPath = Folder.join(path, weightsName)
    if Folder.exists(weightsPath) { return try SafetensorsFile(weightsPath) }
    let pickle = Folder.join(path, "adapter_model.bin")
    guard !Folder.exists(pickle) else {
      throw FileError(
        .missing, path, "has no \(weightsName)", cause: "there is adapter_model.bin",
        remedy: "pickle files can run code and are refused: load the adapter in PEFT and save it as safetensors")
    }
    throw FileError(.missing, path, "has no \(weightsName)", remedy: "copy it beside \(configName)")
  }
}
