import Files
import JSON

/// The files of a model directory that are neither weights nor config.json: tokenizer, processor of images, generation settings, licence,
/// and what sentence-transformers keeps of its own, some of it in folders.
enum Companions {
  /// What lists the parts of a sentence-transformers model.
  private static let partsName = "modules.json"

  static func copy(from source: String, to target: String) throws(FileError) {
    for name in try names(in: source) { try copy(name, from: source, to: target) }
  }

  /// Copies one file, in a folder that is made where it is missing.
  static func copy(_ name: String, from source: String, to target: String) throws(FileError) {
    let file = try MappedFile(Folder.join(source, name))
    let place = Folder.join(target, name)
    try Folder.create(Folder.split(place).folder)
    let copy = try WholeFile(place)
    try file.withBytes { (bytes) throws(FileError) in try copy.write(bytes) }
    try copy.commit()
  }

  /// Their names, `1_Pooling/config.json` where they are in a folder.
  static func names(in source: String) throws(FileError) -> [String] {
    guard Folder.isFolder(source) else { return [] }
    let names = try Folder.names(in: source).filter { belongs($0) && Folder.isFile(Folder.join(source, $0)) }
    return try names.contains(partsName) ? names + parts(in: source) : names
  }

  /// The files of the parts that have folders.
  private static func parts(in source: String) throws(FileError) -> [String] {
    let list = try TextFile.readJSON(Folder.join(source, partsName), maximumBytes: 1 << 20).array ?? []
    var names: [String] = []
    for folder in Set(list.compactMap { $0["path"]?.string }).sorted() where isName(folder) {
      let path = Folder.join(source, folder)
      guard Folder.isFolder(path) else { continue }
      for name in try Folder.names(in: path) where isOfPart(name) && Folder.isFile(Folder.join(path, name)) {
        names.append("\(folder)/\(name)")
      }
    }
    return names
  }

  /// Whether a text names a file or folder beside others, and nothing elsewhere: lists of names come from strangers.
  static func isName(_ text: some StringProtocol) -> Bool {
    !text.isEmpty && !text.hasPrefix(".") && !text.utf8.contains { [0, 0x2F, 0x5C].contains($0) }
  }

  private static func isOfPart(_ name: String) -> Bool {
    isName(name) && [".json", ".txt", ".model", ".safetensors"].contains { name.hasSuffix($0) }
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
    return known.contains(name) || (isName(name) && name.hasPrefix("model") && name.hasSuffix(".safetensors"))
  }
}
