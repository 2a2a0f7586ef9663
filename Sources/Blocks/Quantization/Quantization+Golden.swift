import Engine
import PEFTKernel

/// Reference files of the quantizers: a weight W₀ and what is left of it, in codes and in numbers.
struct QuantizationGolden {
  private let file: GoldenFile
  private let weight: Tensor
  private let gram: Tensor
  private let quantizer: any Quantizer
  private let quantized: QuantizedWeight

  static let reader = GoldenReader(
    reads: { $0.isOf("quantization") }, compute: { (file) throws(Refusal) in try computation(file) })

  /// What is computed: all that the file states beside the problem itself.
  private static func computation(_ file: GoldenFile) throws(Refusal) -> GoldenComputation {
    let golden = try QuantizationGolden(file)
    let given: Set = ["weight", "x", "dy", "given.gram"]
    var results: [String: Tensor] = [:]
    for name in file.tensors.names + file.integers.names where !given.contains(name) {
      results[name] = try golden.result(name)
    }
    return GoldenComputation(entry: "quantization", results: results)
  }

  init(_ file: GoldenFile) throws(Refusal) {
    self.file = file
    weight = try file.tensor("weight")
    gram = try file.tensor("given.gram")
    quantizer = try Self.quantizer(file)
    quantized = try quantizer.quantized(weight, gram: gram)
  }

  private static func quantizer(_ file: GoldenFile) throws(Refusal) -> any Quantizer {
    guard case .string(let scheme)? = file.config["scheme"] else { throw Refusal("the file names no scheme") }
    func flag(_ name: String) -> Bool { file.config[name] == .bool(true) }
    if scheme == "nf4" { return try NormalFloat(blockSize: file.int("block_size") ?? 64, isNested: flag("double_quant")) }
    guard scheme == "rtn" || scheme == "gptq" else {
      throw Refusal("there is no scheme \(scheme)", remedy: "known: rtn, gptq, nf4")
    }
    let gptq = try GPTQ(
      damping: file.config["percdamp"]?.number ?? 0.01, hasStaticGroups: flag("static_groups"),
      ordersByActivity: flag("act_order"))
    var reduction: MagR?
    if file.config["magr_alpha"] != nil || file.config["magr_iters"] != nil {
      reduction = try MagR(alpha: file.config["magr_alpha"]?.number, iterations: file.int("magr_iters") ?? 200)
    }
    return try IntegerQuantizer(
      IntegerGrid(bits: file.int("bits") ?? 4, groupSize: file.int("group_size"), isSymmetric: flag("sym")),
      rounding: scheme == "gptq" ? .feedback(gptq) : .nearest, reduction: reduction, descents: file.int("cd_iters") ?? 0)
  }

  /// A result by its name in the file; nil for what is none.
  func result(_ name: String) throws(Refusal) -> Tensor? {
    switch (name, quantized.codes) {
    // As in work: in single precision.
    case ("merged", _): return quantized.matrix.dense(as: .float32)
    case ("y", _): return try file.tensor("x").converted(to: .float32).linear(quantized.matrix)
    case ("dx", _):
      let x = try file.tensor("x").converted(to: .float32).tracked()
      Tensor.backward([(x.linear(quantized.matrix), try file.tensor("dy").converted(to: .float32))])
      return x.gradient
    case ("initial.quant_error", _): return quantized.error(of: weight)
    case ("initial.output_error", _): return outputError(quantized)
    case (_, .grid(let codes)): return try result(name, codes)
    case (_, .normalFloat(let codes)): return result(name, codes)
    }
  }

  private func outputError(_ quantized: QuantizedWeight) -> Tensor {
    Tensor([QuantizationError.output(quantized.error(of: weight), gram: gram)], .float64)
  }

  private func result(_ name: String, _ codes: GridCodes) throws(Refusal) -> Tensor? {
    guard let integers = quantizer as? IntegerQuantizer else { return nil }
    let exchange = ExchangeCodes(codes)
    switch name {
    case "frozen.codes": return list(codes.codes, [codes.rows, codes.columns])
    case "frozen.packed_rows": return list(codes.packed.array(of: Int32.self), [codes.rows, -1])
    case "frozen.scales": return list(codes.scales.array(of: Float.self), [codes.rows, codes.groups])
    case "frozen.zeros": return list(codes.zeros.array(of: UInt8.self), [codes.rows, codes.groups])
    case "frozen.gptq_qweight": return exchange.map { list($0.weight, [-1, codes.rows]) }
    case "frozen.gptq_qzeros": return exchange.map { list($0.zeros, [codes.groups, -1]) }
    case "frozen.gptq_scales": return exchange.map { list($0.scales, [codes.groups, codes.rows]) }
    case "initial.rtn_output_error": return outputError(try IntegerQuantizer(integers.grid).quantized(weight, gram: nil))
    case "initial.magr_weight":
      return try integers.reduction?.reduced(
        weight.converted(to: .float64), gram: gram.converted(to: .float64), groupSize: codes.groupSize)
    default: return nil
    }
  }

  private func result(_ name: String, _ codes: NormalFloatCodes) -> Tensor? {
    switch (name, codes.peaks) {
    case ("frozen.packed_nibbles", _): list(codes.packed.array(of: UInt8.self), [-1])
    case ("frozen.absmax", _): Tensor(codes.peaks(0..<codes.blocks), .float64)
    case ("frozen.absmax_codes", .nested(let nested)): list(nested.codes.array(of: UInt8.self), [-1])
    case ("frozen.nested_absmax", .nested(let nested)): list(nested.peaks.array(of: Float.self), [-1])
    case ("frozen.nested_offset", .nested(let nested)): Tensor([Double(nested.offset)], .float64)
    default: nil
    }
  }
}

/// Numbers as a tensor of doubles; −1 stands for the axis that follows from the others.
private func list(_ values: [some BinaryInteger], _ shape: [Int]) -> Tensor { list(values.map { Double($0) }, shape) }
private func list(_ values: [Float], _ shape: [Int]) -> Tensor { list(values.map { Double($0) }, shape) }
private func list(_ values: [Double], _ shape: [Int]) -> Tensor {
  let known = shape.filter { $0 >= 0 }.reduce(1, *)
  return Tensor(values, shape: shape.map { $0 < 0 ? values.count / max(1, known) : $0 }, .float64)
}
