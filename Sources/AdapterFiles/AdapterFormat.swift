import Files

/// Whose files an adapter lies in.
public enum AdapterFormat: String, Sendable, CaseIterable {
  /// A directory of Hugging Face PEFT's layout, this project's among them.
  case peft
  /// A directory of mlx-lm.
  case mlx
  /// A file of llama.cpp.
  case gguf

  /// By what is in the files. Whatever cannot be told is left to the reader of PEFT's layout to refuse.
  public init(of path: String) throws(FileError) {
    if GGUFFile.isGGUF(path) {
      self = .gguf
      return
    }
    self = .peft
    let configPath = Folder.join(path, AdapterFolder.configName)
    guard Folder.isFolder(path), Folder.isFile(configPath) else { return }
    let config = try TextFile.readJSON(configPath, maximumBytes: 1 << 24)
    if config["peft_type"] == nil, config["lora_parameters"] != nil || config["fine_tune_type"] != nil { self = .mlx }
  }
}
