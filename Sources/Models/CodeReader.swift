import Engine
import Files

/// Reads the codes of one weight, where they stand; what does not fit together is refused.
struct CodeReader {
  private let config: QuantizationConfig
  private let directory: ModelDirectory
  private let weight: String
  private let outputs: Int
  private let inputs: Int
  /// Names in the files by the parts' endings.
  private let names: [String: String]

  init(_ config: QuantizationConfig, _ directory: ModelDirectory, _ tensor: DecoderPlan.Tensor, _ names: [String: String]) {
    self.config = config
    self.directory = directory
    self.names = names
    weight = tensor.name
    (outputs, inputs) = tensor.isTransposed ? (tensor.shape[1], tensor.shape[0]) : (tensor.shape[0], tensor.shape[1])
  }

  func codes() throws(FileError) -> WeightCodes {
    switch (config.layout, config.scheme) {
    case (.rows, .grid(let bits, let groupSize)): .grid(try grid(bits, try checked(groupSize)))
    case (.exchange(let version), .grid(let bits, let groupSize)): .grid(try exchange(bits, try checked(groupSize), version))
    case (_, .normalFloat(let blockSize, let isNested)): .normalFloat(try normalFloat(blockSize, isNested))
    }
  }

  private func checked(_ groupSize: Int?) throws(FileError) -> Int {
    let size = groupSize ?? inputs
    guard inputs % size == 0 else { throw fault("groups of \(size) do not divide its \(inputs) inputs") }
    return size
  }

  private func grid(_ bits: Int, _ groupSize: Int) throws(FileError) -> GridCodes {
    let groups = inputs / groupSize
    let zeros = try part("zeros", [outputs, groups], [.u8])
    let codes = GridCodes(
      rows: outputs, columns: inputs, bits: bits, groupSize: groupSize,
      packed: try part("codes", [outputs, GridCodes.words(inputs, bits)], [.u32, .i32]),
      scales: try scales("scales", [outputs, groups]), zeros: zeros)
    let top = UInt8(truncatingIfNeeded: 1 << bits - 1)
    if let zero = zeros.array(of: UInt8.self).first(where: { $0 > top }) {
      throw fault("a zero is \(zero), but codes of \(bits) bits end at \(top)")
    }
    return codes
  }

  private func exchange(_ bits: Int, _ groupSize: Int, _ version: ExchangeCodes.Version) throws(FileError) -> GridCodes {
    guard inputs * bits % 32 == 0, outputs * bits % 32 == 0 else {
      throw fault("a weight [\(outputs), \(inputs)] does not fill words of 32 bits in this layout")
    }
    let groups = inputs / groupSize
    if let name = names["g_idx"] {
      guard let entry = directory.entry(name), entry.shape == [inputs], let shard = directory.shard(name),
        entry.dtype.isInteger
      else { throw fault("its g_idx is no list of \(inputs) integers") }
      guard try shard.ints(of: name).enumerated().allSatisfy({ $1 == $0 / groupSize }) else {
        throw fault(
          "its inputs are grouped out of order (g_idx)", remedy: "quantize with desc_act: false, or with static groups")
      }
    }
    let name = try stored("scales")
    guard let entry = directory.entry(name), entry.shape == [groups, outputs], !entry.dtype.isInteger else {
      throw fault("its scales are no numbers of shape [\(groups), \(outputs)]")
    }
    let scales = try directory.floats(of: name)
    try check(scales, "scales")
    return ExchangeCodes(
      rows: outputs, columns: inputs, bits: bits, groupSize: groupSize, version: version,
      weight: try part("qweight", [inputs * bits / 32, outputs], [.i32, .u32]).array(of: Int32.self),
      zeros: try part("qzeros", [groups, outputs * bits / 32], [.i32, .u32]).array(of: Int32.self), scales: scales
    ).codes
  }

  private func normalFloat(_ blockSize: Int, _ isNested: Bool) throws(FileError) -> NormalFloatCodes {
    let count = outputs * inputs
    let blocks = NormalFloatCodes.blocks(count, blockSize)
    let packed = try part("packed", [(count + 1) / 2], [.u8])
    let peaks: NormalFloatCodes.Peaks
    if isNested {
      let outer = NormalFloatCodes.blocks(blocks, NestedPeaks.blockSize)
      let offset = try scales("nested_offset", [1], areSigned: true).array(of: Float.self)[0]
      peaks = .nested(
        NestedPeaks(
          codes: try part("absmax", [blocks], [.u8]), peaks: try scales("nested_absmax", [outer]), offset: offset,
          map: try scales("nested_quant_map", [256], areSigned: true)))
    } else {
      peaks = .floats(try scales("absmax", [blocks]))
    }
    return NormalFloatCodes(rows: outputs, columns: inputs, blockSize: blockSize, packed: packed, peaks: peaks)
  }

  // MARK: Parts

  private func scales(_ ending: String, _ shape: [Int], areSigned: Bool = false) throws(FileError) -> FrozenBytes {
    let bytes = try part(ending, shape, [.f32])
    try check(bytes.array(of: Float.self), ending, areSigned: areSigned)
    return bytes
  }

  private func check(_ values: [Float], _ ending: String, areSigned: Bool = false) throws(FileError) {
    guard let bad = values.first(where: { !$0.isFinite || (!areSigned && $0 < 0) }) else { return }
    throw fault("its \(ending) hold \(bad)")
  }

  /// Where the file has it; elsewhere only where numbers could not be read there.
  private func part(_ ending: String, _ shape: [Int], _ types: [StoredType]) throws(FileError) -> FrozenBytes {
    let name = try stored(ending)
    guard let entry = directory.entry(name), let shard = directory.shard(name) else { throw fault("its \(ending) are missing") }
    guard entry.shape == shape else { throw fault("its \(ending) have the shape \(entry.shape), but \(shape) is due") }
    guard types.contains(entry.dtype) else {
      throw fault("its \(ending) are \(entry.dtype.rawValue), but \(types[0].rawValue) is due")
    }
    let bytes = try shard.bytes(of: name)
    let isAligned = UInt(bitPattern: bytes.baseAddress) % UInt(entry.dtype.size) == 0
    return isAligned ? FrozenBytes(borrowing: bytes, owner: shard.file) : FrozenBytes(copying: bytes)
  }

  private func stored(_ ending: String) throws(FileError) -> String {
    guard let name = names[ending] else { throw fault("its \(ending) are missing") }
    return name
  }

  private func fault(_ what: String, remedy: String = "quantize the model again, or copy it again") -> FileError {
    FileError(.badData, directory.path, "the codes of '\(weight)' cannot be used: \(what)", remedy: remedy)
  }
}
