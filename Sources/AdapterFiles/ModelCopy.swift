import Engine
import Files
import JSON
import Models
import PEFTKernel

/// A model directory on its way to the disk: the base's, with some tensors replaced, tensor by tensor.
struct ModelCopy {
  let model: any Model
  /// Of every tensor; nil to keep each one's own.
  var dtype: StoredType?
  /// Bytes of numbers that a weight file holds at most.
  var shardLimit = WeightFiles.standardLimit
  /// New values by parameter name, in the file's shape; made when their turn has come.
  var changed: [String: () throws -> Tensor] = [:]
  /// A head of its own for a model that shares the embedding table: its name, and its values [vocabulary, hidden].
  var ownHead: OwnHead?
  /// What was merged, where it was.
  var record: MergeRecord?

  typealias OwnHead = (name: String, shape: [Int], type: StoredType, make: () throws -> Tensor)

  /// Weights that are written in codes, by parameter name, and what config.json then says of them.
  var codes: [String: WeightCodes] = [:]
  var quantization: QuantizationConfig?

  /// Parameters of a head that the files do not have, and the type of most numbers in them: a model is loaded in one type.
  private let drawn: Set<String>
  private let commonType: StoredType

  init(_ model: any Model, dtype: StoredType?) throws(Refusal) {
    if let dtype, dtype.isInteger {
      throw Refusal("weights cannot be stored as \(dtype.rawValue)", remedy: "use F32, BF16 or F16")
    }
    self.model = model
    self.dtype = dtype
    drawn = model.drawnModules.isEmpty ? [] : Set(model.freshParameters)
    var bytes: [StoredType: Int] = [:]
    for parameter in model.parameters where parameter.storedName != nil {
      bytes[parameter.type, default: 0] += parameter.byteCount
    }
    commonType = bytes.max { ($0.value, $1.key.rawValue) < ($1.value, $0.key.rawValue) }?.key ?? .f32
  }

  func write(existing: AtomicDirectory.Existing, inputs: [String] = [], to folder: String) throws {
    let directory = try AtomicDirectory(
      folder, existing: existing, owns: try Self.owns(model), inputs: inputs + [model.directory.path])
    // The writer's closures speak of files only; anything else they threw comes out here.
    let fault = Fault()
    var tensors = try model.parameters.flatMap { parameter in
      try codes[parameter.name].map { Self.parts(of: name(parameter), $0) } ?? [try tensor(parameter, fault)]
    }
    if let head = ownHead {
      tensors.append(made(head.name, head.shape, dtype ?? head.type, fault, head.make))
    }
    do {
      try WeightFiles.write(tensors, limit: shardLimit, to: directory.partial)
    } catch {
      throw fault.error ?? error
    }
    try Companions.copy(from: model.directory.path, to: directory.partial)
    try WholeFile.write(config().text(indented: true) + "\n", to: Folder.join(directory.partial, "config.json"))
    if let record {
      try WholeFile.write(record.json.text(indented: true) + "\n", to: Folder.join(directory.partial, MergeRecord.fileName))
    }
    try directory.commit()
  }

  /// Whether a file of that name may be in a directory that is written from a base.
  static func owns(_ base: any Model) throws(FileError) -> (String) -> Bool {
    let companions = Set(try Companions.names(in: base.directory.path))
    return { Companions.isOfModel($0) || companions.contains($0) }
  }

  private final class Fault {
    var error: (any Error)?
  }

  /// The name that the base's file has, unless that would mix names with and without prefix.
  private func name(_ parameter: BaseParameter) -> String {
    ownHead == nil && drawn.isEmpty ? parameter.storedName ?? parameter.name : parameter.name
  }

  private func tensor(_ parameter: BaseParameter, _ fault: Fault) throws(FileError) -> SafetensorsWriter.Tensor {
    let name = name(parameter)
    let type = dtype ?? (drawn.contains(parameter.name) ? commonType : parameter.type)
    if let make = changed[parameter.name] { return made(name, parameter.shape, type, fault, make) }
    guard let stored = parameter.storedName, let entry = model.directory.entry(stored),
      let shard = model.directory.shard(stored)
    else { return made(name, parameter.shape, type, fault) { model.parameter(parameter.name) } }
    if entry.dtype == type { return .init(copying: entry, of: shard, as: name) }
    return made(name, parameter.shape, type, fault) {
      entry.dtype == .f64
        ? Tensor(try shard.doubles(of: stored), shape: entry.shape, .float64)
        : Tensor(try shard.floats(of: stored), shape: entry.shape)
    }
  }

  /// The tensors that hold codes in this project's layout.
  private static func parts(of name: String, _ codes: WeightCodes) -> [SafetensorsWriter.Tensor] {
    func part(_ ending: String, _ type: StoredType, _ shape: [Int], _ bytes: FrozenBytes) -> SafetensorsWriter.Tensor {
      .init(name: "\(name).\(ending)", dtype: type, shape: shape) { (sink) throws(FileError) in
        let result = bytes.withUnsafeBytes { raw in Result { () throws(FileError) in try sink(raw) } }
        try result.get()
      }
    }
    switch codes {
    case .grid(let codes):
      return [
        part("codes", .u32, [codes.rows, GridCodes.words(codes.columns, codes.bits)], codes.packed),
        part("scales", .f32, [codes.rows, codes.groups], codes.scales),
        part("zeros", .u8, [codes.rows, codes.groups], codes.zeros),
      ]
    case .normalFloat(let codes):
      let packed = part("packed", .u8, [codes.packed.count], codes.packed)
      switch codes.peaks {
      case .floats(let peaks): return [packed, part("absmax", .f32, [codes.blocks], peaks)]
      case .nested(let nested):
        return [
          packed, part("absmax", .u8, [codes.blocks], nested.codes),
          part("nested_absmax", .f32, [nested.peaks.count / 4], nested.peaks),
          part("nested_offset", .f32, [1], FrozenBytes([nested.offset])),
          part("nested_quant_map", .f32, [256], nested.map),
        ]
      }
    }
  }

  private func made(
    _ name: String, _ shape: [Int], _ type: StoredType, _ fault: Fault, _ make: @escaping () throws -> Tensor
  ) -> SafetensorsWriter.Tensor {
    .init(name: name, dtype: type, shape: shape) { (sink) throws(FileError) in
      let values: [Double]
      do {
        let tensor = try make()
        guard tensor.shape == shape else {
          throw Refusal("\(name) has shape \(shape) in this model, but \(tensor.shape) was given")
        }
        values = tensor.values
        try Self.check(values, name, type)
      } catch {
        fault.error = error
        throw FileError(.badData, model.directory.path, "\(error)")
      }
      let whole: SafetensorsWriter.Tensor =
        type == .f64
        ? .init(name: name, shape: shape, doubles: values)
        : .init(name: name, shape: shape, floats: Rounding.floats(values, for: type), as: type)
      try whole.content(sink)
    }
  }

  private static func check(_ values: [Double], _ name: String, _ type: StoredType) throws(Refusal) {
    guard let wrong = values.first(where: { !Rounding.fits($0.magnitude, type) }) else { return }
    guard wrong.isFinite else {
      throw Refusal("\(name) would hold values that are not finite", remedy: "use an adapter from before the run diverged")
    }
    throw Refusal("\(name) would hold \(wrong), which \(type.rawValue) cannot", remedy: "use BF16 or F32")
  }

  private func config() -> JSON {
    var members = model.configuration.members ?? []
    func set(_ key: String, _ value: JSON) {
      if let at = members.firstIndex(where: { $0.key == key }) {
        members[at].value = value
      } else {
        members.append(.init(key, value))
      }
    }
    if ownHead != nil { set("tie_word_embeddings", false) }
    // What was coded is written in numbers, unless it is coded anew.
    members.removeAll { $0.key == "quantization_config" }
    if let quantization { set("quantization_config", quantization.json) }
    let written = dtype ?? (model.directory.tensorNames.isEmpty ? model.parameters.first?.type : nil)
    let names: [StoredType: String] = [.f32: "float32", .f16: "float16", .bf16: "bfloat16", .f64: "float64"]
    if let name = written.flatMap({ names[$0] }) {
      // Newer files say `dtype`, older ones `torch_dtype`, which newer readers understand as well.
      let keys = ["dtype", "torch_dtype"].filter { key in members.contains { $0.key == key } }
      for key in keys.isEmpty ? ["torch_dtype"] : keys { set(key, .string(name)) }
    }
    return .object(members)
  }
}
