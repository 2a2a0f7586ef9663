import Engine
import Files
import JSON

/// What config.json says about weights in few bits, as `quantization_config`.
///
/// Which weights are coded, the files themselves show: by parts instead of numbers.
public struct QuantizationConfig: Sendable, Equatable {
  public enum Scheme: Sendable, Hashable {
    /// Integers; a group of nil is a whole row.
    case grid(bits: Int, groupSize: Int?)
    case normalFloat(blockSize: Int, isNested: Bool)
  }

  public enum Layout: Sendable, Hashable {
    /// This project's: packed by rows, beside the name of the weight.
    case rows
    /// That of GPTQ checkpoints.
    case exchange(ExchangeCodes.Version)
  }

  /// The directory the codes were made from.
  public struct Origin: Sendable, Hashable {
    public var path: String
    /// Of its weights, see `ModelDirectory.digest`.
    public var digest: String

    public init(path: String, digest: String) {
      self.path = path
      self.digest = digest
    }
  }

  /// How the codes were chosen, in one word: `rtn`, `gptq`, `nf4`.
  public var method: String
  public var scheme: Scheme
  public var layout: Layout
  public var origin: Origin?
  /// What else there is to know about how the codes were chosen; nothing is computed from it.
  public var details: [JSON.Member]

  public init(
    method: String, scheme: Scheme, layout: Layout = .rows, origin: Origin? = nil, details: [JSON.Member] = []
  ) {
    self.method = method
    self.scheme = scheme
    self.layout = layout
    self.origin = origin
    self.details = details
  }

  static let name = "swift-peft"

  /// The object of config.json.
  public var json: JSON {
    var members: [JSON.Member] = [.init("quant_method", .string(Self.name)), .init("scheme", .string(method))]
    switch scheme {
    case .grid(let bits, let groupSize):
      members += [.init("bits", .int(bits)), .init("group_size", .int(groupSize ?? -1))]
    case .normalFloat(let blockSize, let isNested):
      members += [.init("bits", 4), .init("block_size", .int(blockSize)), .init("double_quant", .bool(isNested))]
    }
    members += details
    if let origin {
      members.append(.init("origin", ["path": .string(origin.path), "digest": .string(origin.digest)]))
    }
    return .object(members)
  }
}

// Reading.
extension QuantizationConfig {
  /// Nil where config.json has none; refuses methods and settings that are not decoded here.
  public init?(_ directory: ModelDirectory) throws(FileError) {
    let top = ConfigReader(directory)
    guard top.value(["quantization_config"]) != nil else { return nil }
    let reader = try ConfigReader(top, in: "quantization_config")
    let supported = "supported: \(Self.name), gptq, and weights in F32, F16 and BF16"
    guard let (_, value) = reader.value(["quant_method"]) else { throw reader.missing("quant_method", supported) }
    switch value.string {
    case Self.name: try self.init(own: reader)
    case "gptq": try self.init(exchange: reader)
    default: throw reader.unsupported("quant_method", value, supported)
    }
  }

  private init(own reader: ConfigReader) throws(FileError) {
    let schemes = ["rtn", "gptq", "nf4"]
    guard reader.value(["scheme"]) != nil else {
      throw reader.missing("scheme", "supported: \(schemes.joined(separator: ", "))")
    }
    let method = try reader.choice("scheme", default: "", supported: schemes)
    if method == "nf4" {
      let block = try reader.int("block_size", default: 64, in: 32...4096)
      guard block.nonzeroBitCount == 1 else { throw reader.unfit("block_size", .int(block), "a power of two is wanted") }
      scheme = .normalFloat(blockSize: block, isNested: try reader.bool("double_quant", default: false))
    } else {
      scheme = .grid(bits: try Self.bits(reader), groupSize: try Self.groupSize(reader))
    }
    self.method = method
    layout = .rows
    details = []
    guard let (_, value) = reader.value(["origin"]) else { return }
    guard let path = value["path"]?.string, let digest = value["digest"]?.string else {
      throw reader.unfit("origin", value, "a path and a digest are wanted")
    }
    origin = Origin(path: path, digest: digest)
  }

  private init(exchange reader: ConfigReader) throws(FileError) {
    let format = try reader.choice("checkpoint_format", default: "gptq", supported: ["gptq", "gptq_v2"])
    method = "gptq"
    scheme = .grid(bits: try Self.bits(reader), groupSize: try Self.groupSize(reader))
    layout = .exchange(format == "gptq_v2" ? .two : .one)
    details = []
  }

  private static func bits(_ reader: ConfigReader) throws(FileError) -> Int {
    let bits = try reader.int("bits", default: 0, in: 2...8)
    guard GridCodes.bitWidths.contains(bits) else { throw reader.unfit("bits", .int(bits), "2, 3, 4 or 8 is wanted") }
    return bits
  }

  /// −1 and an absent size stand for whole rows.
  private static func groupSize(_ reader: ConfigReader) throws(FileError) -> Int? {
    let size = try reader.int("group_size", default: -1, in: -1...Int(Int32.max))
    guard size != 0 else { throw reader.unfit("group_size", 0, "a size of at least 1 is wanted, or -1 for whole rows") }
    return size == -1 ? nil : size
  }
}

// Names.
extension QuantizationConfig {
  /// What the names of a weight's parts end in.
  var partEndings: [String] {
    switch (layout, scheme) {
    case (.exchange, _): ["qweight", "qzeros", "scales", "g_idx"]
    case (.rows, .grid): ["codes", "scales", "zeros"]
    case (.rows, .normalFloat(_, false)): ["packed", "absmax"]
    case (.rows, .normalFloat(_, true)): ["packed", "absmax", "nested_absmax", "nested_offset", "nested_quant_map"]
    }
  }

  /// The name of a part of the weight `name`.
  func partName(of name: String, _ ending: String) -> String {
    guard case .exchange = layout, name.hasSuffix(".weight") else { return "\(name).\(ending)" }
    return name.dropLast("weight".count) + ending
  }
}
