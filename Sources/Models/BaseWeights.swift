import Engine
import Files
import PEFTKernel

/// The tensors of a base model as they are used: matrices where and as they are stored, vectors widened once.
struct BaseWeights: Sendable {
  private var matrices: [String: FrozenMatrix] = [:]
  private var vectors: [String: Tensor] = [:]
  private(set) var parameters: [BaseParameter] = []

  /// Reads what `plan` needs from the directory's weights; refuses tensors that are missing, unexpected, twice there, or
  /// of another shape or number type.
  init(_ plan: DecoderPlan, _ config: DecoderConfig, from directory: ModelDirectory) throws(FileError) {
    let stored = try StoredNames(plan, config, directory)
    for tensor in plan.tensors {
      if let parts = stored.codes[tensor.name], let quantization = config.quantization {
        let reader = CodeReader(quantization, directory, tensor, parts)
        let codes = try reader.codes()
        matrices[tensor.name] = FrozenMatrix(codes, isTransposed: tensor.isTransposed)
        let type = directory.entry(stored.numbers[plan.embedding] ?? "")?.dtype ?? .f32
        parameters.append(BaseParameter(name: tensor.name, shape: tensor.shape, type: type, codes: codes.byteCount))
        continue
      }
      guard let name = stored.numbers[tensor.name], let entry = directory.entry(name), let file = directory.shard(name) else {
        continue
      }
      guard entry.shape == tensor.shape else {
        throw FileError(
          .badData, file.path, "tensor '\(name)' has shape \(entry.shape)", cause: "config.json calls for \(tensor.shape)")
      }
      guard let type = WeightType(entry.dtype) else {
        throw FileError(
          .badData, file.path, "tensor '\(name)' is \(entry.dtype.rawValue)", cause: "weights are F32, F16 or BF16")
      }
      parameters.append(BaseParameter(name: tensor.name, shape: tensor.shape, type: entry.dtype))
      switch tensor.kind {
      case .matrix:
        matrices[tensor.name] = try Self.matrix(entry, type, file, isTransposed: tensor.isTransposed)
      case .gains, .biases: vectors[tensor.name] = Tensor(try file.floats(of: name), shape: tensor.shape)
      }
    }
  }

  /// Draws what `plan` needs: matrices from N(0, initializer_range²), each from a stream of its name; norms 1 as they
  /// count, biases 0.
  ///
  /// Refuses a model that the machine's memory cannot hold.
  init(_ plan: DecoderPlan, _ config: DecoderConfig, seed: UInt64, file: String) throws(FileError) {
    guard config.quantization == nil else {
      throw FileError(
        .badData, file, "quantization_config: fresh weights are not quantized", remedy: "take quantization_config out")
    }
    let bytes = plan.tensors.reduce(0.0) { $0 + $1.shape.reduce(4.0) { $0 * Double($1) } }
    let memory = ProcessMemory.installed
    guard bytes < memory else {
      throw FileError(
        .badData, file, "describes a model that does not fit this machine",
        cause: "weights of \(Int((bytes / 0x1p30).rounded())) GiB, memory of \(Int((memory / 0x1p30).rounded())) GiB",
        remedy: "make the model smaller")
    }
    for tensor in plan.tensors {
      parameters.append(BaseParameter(name: tensor.name, shape: tensor.shape, type: .f32))
      switch tensor.kind {
      case .matrix:
        var random = Philox(key: seed).stream(tensor.name)
        matrices[tensor.name] = FrozenMatrix(
          random.normal(tensor.shape, deviation: config.initializerRange), isTransposed: tensor.isTransposed)
      case .gains: vectors[tensor.name] = Tensor(repeating: 1 - config.gainOffset, shape: tensor.shape)
      case .biases: vectors[tensor.name] = .zeros(tensor.shape)
      }
    }
  }

  func matrix(_ name: String) -> FrozenMatrix {
    guard let matrix = matrices[name] else { preconditionFailure("no matrix \(name)") }
    return matrix
  }

  func vector(_ name: String) -> Tensor {
    guard let vector = vectors[name] else { preconditionFailure("no vector \(name)") }
    return vector
  }

  /// A copy of the values, as stored.
  func values(_ name: String) -> Tensor { matrices[name]?.stored() ?? vector(name).copied() }

  private static func matrix(
    _ entry: TensorEntry, _ type: WeightType, _ file: SafetensorsFile, isTransposed: Bool
  ) throws(FileError) -> FrozenMatrix {
    let bytes = try file.bytes(of: entry.name)
    let (rows, columns) = isTransposed ? (entry.shape[1], entry.shape[0]) : (entry.shape[0], entry.shape[1])
    let isAligned = UInt(bitPattern: bytes.baseAddress) % UInt(type.byteCount) == 0
    let numbers = isAligned ? FrozenBytes(borrowing: bytes, owner: file.file) : FrozenBytes(copying: bytes)
    return FrozenMatrix(numbers, type: type, rows: rows, columns: columns, isTransposed: isTransposed)
  }
}

extension WeightType {
  /// Nil for integers.
  init?(_ type: StoredType) {
    switch type {
    case .f64: self = .float64
    case .f32: self = .float32
    case .f16: self = .float16
    case .bf16: self = .bfloat16
    case .i64, .i32, .u32, .i16, .i8, .u8, .bool: return nil
    }
  }
}
