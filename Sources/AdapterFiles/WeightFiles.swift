import Files
import JSON

/// The weight files of a model directory: one, or several with an index beside them where one would be too large.
enum WeightFiles {
  /// What `transformers` divided models by for years, in bytes: a file that copies and uploads in one go.
  static let standardLimit = 5_000_000_000

  /// Writes `model.safetensors`; beyond `limit` bytes of numbers `model-00001-of-0000N.safetensors` and so on with
  /// `model.safetensors.index.json`, tensors in the order given. A tensor above the limit has a file of its own.
  static func write(_ tensors: [SafetensorsWriter.Tensor], limit: Int, to folder: String) throws(FileError) {
    let metadata = ["format": "pt"]
    let shards = divided(tensors, limit)
    guard shards.count > 1 else {
      return try SafetensorsWriter.write(tensors, metadata: metadata, to: Folder.join(folder, "model.safetensors"))
    }
    var map: [JSON.Member] = []
    for (index, shard) in shards.enumerated() {
      let name = "model-\(padded(index + 1))-of-\(padded(shards.count)).safetensors"
      try SafetensorsWriter.write(shard, metadata: metadata, to: Folder.join(folder, name))
      map += shard.map { .init($0.name, .string(name)) }
    }
    let total = tensors.reduce(0) { $0 + bytes($1) }
    let index: JSON = ["metadata": ["total_size": .int(total)], "weight_map": JSON.object(map).sorted]
    try WholeFile.write(index.text(indented: true) + "\n", to: Folder.join(folder, "model.safetensors.index.json"))
  }

  private static func divided(_ tensors: [SafetensorsWriter.Tensor], _ limit: Int) -> [[SafetensorsWriter.Tensor]] {
    var shards: [[SafetensorsWriter.Tensor]] = [[]]
    var filled = 0
    for tensor in tensors {
      if filled + bytes(tensor) > limit, !shards[shards.count - 1].isEmpty {
        shards.append([])
        filled = 0
      }
      shards[shards.count - 1].append(tensor)
      filled += bytes(tensor)
    }
    return shards
  }

  private static func bytes(_ tensor: SafetensorsWriter.Tensor) -> Int { tensor.shape.reduce(tensor.dtype.size, *) }

  private static func padded(_ number: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
  }
}
