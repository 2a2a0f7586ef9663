import Files

/// The files of a model directory that are neither weights nor config.json: tokenizer, generation settings, licence.
enum Companions {
  static func copy(from source: String, to target: String) throws(FileError) {
    for name in try names(in: source) { try copy(name, from: source, to: target) }
  }

  static func copy(_ name: String, from source: String, to target: String) throws(FileError) {
    let file = try MappedFile(Folder.join(source, name))
    let copy = try WholeFile(Folder.join(target, name))
    try file.withBytes { (bytes) throws(FileError) in try copy.write(bytes) }
    try copy.commit()
  }

  static func names(in source: String) throws(FileError) -> [String] {
    guard Folder.isFolder(source) else { return [] }
    return try Folder.names(in: source).filter { belongs($0) && Folder.isFile(Folder.join(source, $0)) }
  }

  static func belongs(_ name: String) -> Bool {
    let others: Set = ["config.json", AdapterFolder.configName, MergeRecord.fileName]
    guard !name.hasPrefix("."), !others.contains(name), !name.hasSuffix(".index.json") else { return false }
    let endings = [".json", ".txt", ".model", ".jinja", ".tiktoken", ".py"]
    return name.uppercased().hasPrefix("LICENSE") || endings.contains { name.hasSuffix($0) }
  }

  /// Whether every model directory may have a file of that name: no text of a user's is called so.
  static func isOfModel(_ name: String) -> Bool {
    let known: Set = [
      "config.json", "generation_config.json", "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json",
      "tokenizer.model", "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt",
      "chat_template.jinja", "preprocessor_config.json", "processor_config.json", MergeRecord.fileName,
    ]
    return known.contains(name) || (name.hasPrefix("model") && name.hasSuffix(".safetensors"))
  }
}
