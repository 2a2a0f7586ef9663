extension ModelDirectory {
  /// A fingerprint of the weights that tells base models apart without reading them through: an adapter remembers the one it
  /// was trained on.
  ///
  /// SHA-256, in hexadecimal, over the text `peft-base-1\n` and then each tensor in order of the bytes of its name: the line
  /// `<bytes of the name> <name> <dtype> <extents with commas>\n` and a sample of its stored bytes: all of them up to 12 KiB; beyond,
  /// the first 4 KiB, the 4 KiB from `(size - 4096) / 2`, and the last 4 KiB. Sharding, metadata, the order in the files and
  /// `config.json` do not count. Weights that differ between the samples only have the same fingerprint.
  public func digest() throws(FileError) -> String {
    let sample = 4096
    var hash = SHA256()
    hash.update("peft-base-1\n")
    for name in tensorNames {
      guard let entry = entry(name) else { continue }
      let bytes = try bytes(of: name)
      let shape = entry.shape.map(String.init).joined(separator: ",")
      hash.update("\(name.utf8.count) \(name) \(entry.dtype.rawValue) \(shape)\n")
      guard bytes.count > 3 * sample else {
        hash.update(bytes)
        continue
      }
      for start in [0, (bytes.count - sample) / 2, bytes.count - sample] {
        hash.update(UnsafeRawBufferPointer(rebasing: bytes[start..<start + sample]))
      }
    }
    return hash.hex
  }
}
