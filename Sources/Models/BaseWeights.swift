import Engine
import Files
import PEFTKernel

/// The tensors of a base model as they are used: matrices where and as they are stored, vectors widened once.
struct BaseWeights: Sendable {
  private var matrices: [String: FrozenMatrix] = [:]
  private var vectors: [String: Tensor] = [:]
  private(set) var parameters: [BaseParameter] = []
  /// What the files hold for other uses than this one.
  private(set) var leftOut: [String] = []
  /// Shapes of the tensors that are read as matrices of other ones.
  private var shapes: [String: [Int]] = [:]

  /// Reads what `plan` needs from the directory's weights; refuses tensors that are missing, unexpected, twice there, or
  /// of another shape or number type. Tensors that are to be drawn are drawn from `seed`.
  init(_ plan: WeightPlan, from directory: ModelDirectory, seed: UInt64 = 0) throws(FileError) {
    let stored = try StoredNames(plan, directory)
    leftOut = stored.leftOut
    for tensor in plan.tensors {
      if tensor.isDrawn {
        draw(tensor, plan, seed)
        continue
      }
      if let parts = stored.codes[tensor.name], let quantization = plan.quantization {
        let reader = CodeReader(quantization, directory, tensor, parts)
        let codes = try reader.codes()
        matrices[tensor.name] = FrozenMatrix(codes, isTransposed: tensor.isTransposed)
        let type = directory.entry(stored.numbers[plan.numbered] ?? "")?.dtype ?? .f32
        parameters.append(tensor.parameter(type, codes: codes.byteCount))
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
      parameters.append(tensor.parameter(entry.dtype, stored: name))
      switch tensor.kind {
      case .matrix: keep(try Self.matrix(entry, type, file, tensor), tensor)
      case .gains, .biases, .vector, .number:
        vectors[tensor.name] = Tensor(try file.floats(of: name), shape: tensor.shape)
      }
    }
  }

  /// Draws what `plan` needs: matrices and vectors from N(0, deviation²), each from a stream of its name; norms 1 as they
  /// count, biases 0.
  ///
  /// Refuses a model that the machine's memory cannot hold.
  init(_ plan: WeightPlan, seed: UInt64, file: String) throws(FileError) {
    guard plan.quantization == nil else {
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
    for tensor in plan.tensors { draw(tensor, plan, seed) }
  }

  private mutating func draw(_ tensor: PlannedTensor, _ plan: WeightPlan, _ seed: UInt64) {
    parameters.append(tensor.parameter(.f32))
    func drawn(_ shape: [Int]) -> Tensor {
      var random = Philox(key: seed).stream(tensor.name)
      return random.normal(shape, deviation: tensor.deviation ?? plan.deviation)
    }
    switch tensor.kind {
    case .matrix: keep(FrozenMatrix(drawn(tensor.view ?? tensor.shape), isTransposed: tensor.isTransposed), tensor)
    case .vector: vectors[tensor.name] = drawn(tensor.shape)
    case .gains(let offset): vectors[tensor.name] = Tensor(repeating: 1 - offset, shape: tensor.shape)
    case .biases: vectors[tensor.name] = .zeros(tensor.shape)
    case .number(let value): vectors[tensor.name] = Tensor(repeating: value, shape: tensor.shape)
    }
  }

  private mutating func keep(_ matrix: FrozenMatrix, _ tensor: PlannedTensor) {
    matrices[tensor.name] = matrix
    if tensor.view != nil { shapes[tensor.name] = tensor.shape }
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
  func values(_ name: String) -> Tensor {
    guard let matrix = matrices[name] else { return vector(name).copied() }
    let values = matrix.stored()
    return shapes[name].map { values.reshaped($0) } ?? values
  }

  /// The site of a map as it stands in the files.
  func site(_ map: PlannedMap) -> Site {
    let site = map.site
    return Site(
      id: site.id, kind: site.kind, use: site.use, outputs: site.outputs, inputs: site.inputs, layer: site.layer,
      hasBias: site.hasBias, isQuantized: matrix(map.weight).isQuantized, modulePath: site.modulePath, aliases: site.aliases)
  }

  private static func matrix(
    _ entry: TensorEntry, _ type: WeightType, _ file: SafetensorsFile, _ tensor: PlannedTensor
  ) throws(FileError) -> FrozenMatrix {
    let bytes = try file.bytes(of: entry.name)
    let (shape, isTransposed) = (tensor.view ?? tensor.shape, tensor.isTransposed)
    let (rows, columns) = isTransposed ? (shape[1], shape[0]) : (shape[0], shape[1])
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
