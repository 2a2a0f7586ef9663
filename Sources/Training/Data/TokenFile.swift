import Files

/// Pre-tokenised batches: `input_ids [steps, batch, seq]`, in order.
public enum TokenFile {
  /// Whether a path is one by its name.
  static func isNamed(_ path: String) -> Bool { path.hasSuffix(".safetensors") }

  /// The examples in order: every `batch` of them are one step. Ids must lie below `vocabulary`.
  public static func read(_ path: String, vocabulary: Int) throws -> (examples: [Example], batchSize: Int) {
    let file = try SafetensorsFile(path)
    guard let entry = file.entry("input_ids"), entry.shape.count == 3, entry.shape.allSatisfy({ $0 > 0 }) else {
      throw FileError(
        .badData, path, "has no tensor input_ids of shape [steps, batch, sequence]",
        cause: "it holds " + file.tensors.map { "\($0.name) \($0.shape)" }.joined(separator: ", "))
    }
    guard entry.shape[2] > 1 else {
      throw FileError(.badData, path, "input_ids holds sequences of one id, of which nothing can be learned")
    }
    let ids = try file.ints(of: "input_ids")
    if let bad = ids.first(where: { $0 < 0 || $0 >= vocabulary }) {
      throw FileError(.badData, path, "input_ids holds the id \(bad), but the model knows ids 0 to \(vocabulary - 1)")
    }
    let length = entry.shape[2]
    let examples = stride(from: 0, to: ids.count, by: length).map { start in
      Example(ids: ids[start..<start + length].map { Int32($0) })
    }
    return (examples, entry.shape[1])
  }
}
