import Engine
import PEFTKernel
import Testing

@testable import Blocks

/// What the specification of the quantizers promises for any weight.
@Suite struct QuantizationTests {
  /// A weight, and the Gram of inputs that depend on each other.
  static func problem(_ outputs: Int = 24, _ inputs: Int = 48, tokens: Int = 200, seed: UInt64 = 1) -> (Tensor, Tensor) {
    var random = Philox(key: seed)
    let mix = random.normal([inputs, inputs], deviation: 1, .float64) * 0.2 + Tensor.identity(inputs, .float64)
    let x = random.normal([tokens, inputs], deviation: 1, .float64).multiplied(by: mix)
    return (random.normal([outputs, inputs], deviation: 0.5), x.transposed.multiplied(by: x))
  }

  static func grid(_ codes: WeightCodes) throws -> GridCodes {
    guard case .grid(let grid) = codes else { throw Refusal("no grid") }
    return grid
  }

  @Test(arguments: [2, 3, 4, 8], [false, true]) func nearestIsWithinHalfAStep(_ bits: Int, _ isSymmetric: Bool) throws {
    for scale in [1.0, 1e-4, 1e4] {
      var (weight, _) = Self.problem()
      weight = weight * scale
      // Zeros, a group of zeros, groups on one side of zero only.
      weight.withUnsafeMutableBytes { bytes in
        let values = bytes.bindMemory(to: Float.self)
        for i in 0..<20 { values[i] = 0 }
        for i in 48..<96 { values[i] = abs(values[i]) }
        for i in 96..<144 { values[i] = -abs(values[i]) - 1 }
      }
      let quantizer = try IntegerQuantizer(IntegerGrid(bits: bits, groupSize: 16, isSymmetric: isSymmetric))
      let codes = try Self.grid(quantizer.quantized(weight, gram: nil).codes)
      let scales = codes.scales.array(of: Float.self)
      let (values, decoded) = (weight.values, FrozenMatrix(.grid(codes)).dense(as: .float64).values)
      for i in values.indices {
        let step = Double(scales[i / 16])
        #expect(abs(values[i] - decoded[i]) <= step * (0.5 + 1e-4))
        if values[i] == 0 { #expect(decoded[i] == 0) }
      }
      #expect(codes.codes.allSatisfy { Int($0) < 1 << bits })
      if isSymmetric { #expect(codes.zeros.array(of: UInt8.self).allSatisfy { Int($0) == 1 << (bits - 1) }) }
    }
  }

  @Test func weightsTooSmallForAScaleStayFinite() throws {
    let weight = Tensor([Float](repeating: .leastNonzeroMagnitude, count: 32), shape: [2, 16])
    for quantizer in [
      try IntegerQuantizer(IntegerGrid(bits: 4)) as any Quantizer, try NormalFloat(blockSize: 32, isNested: true),
    ] {
      #expect(try quantizer.quantized(weight, gram: nil).matrix.dense().isFinite)
    }
  }

  @Test(arguments: [3, 4], [nil, 16]) func feedbackBeatsRounding(_ bits: Int, _ group: Int?) throws {
    let (weight, gram) = Self.problem()
    let grid = try IntegerGrid(bits: bits, groupSize: group)
    func error(_ rounding: IntegerQuantizer.Rounding, _ descents: Int = 0) throws -> Double {
      let quantized = try IntegerQuantizer(grid, rounding: rounding, descents: descents).quantized(weight, gram: gram)
      return QuantizationError.output(quantized.error(of: weight), gram: gram)
    }
    let nearest = try error(.nearest)
    for settings in [
      try GPTQ(), try GPTQ(hasStaticGroups: true), try GPTQ(ordersByActivity: true),
    ] { #expect(try error(.feedback(settings)) < nearest) }
  }

  /// Blocks of 128 columns, with and without groups that cross them, give what the definition gives column by column.
  @Test(arguments: [nil, 12, 60, 100, 150]) func blocksChangeNothing(_ group: Int?) throws {
    let (weight, gram) = Self.problem(5, 300, tokens: 600, seed: 4)
    for isStatic in [false, true] {
      let grid = try IntegerGrid(bits: 3, groupSize: group)
      let gptq = try GPTQ(hasStaticGroups: isStatic)
      let codes = try Self.grid(
        IntegerQuantizer(grid, rounding: .feedback(gptq)).quantized(weight, gram: gram).codes)
      #expect(codes.codes == (try Self.plain(weight, gram, grid, isStatic)))
    }
  }

  /// GPTQ as the specification writes it, without blocks.
  static func plain(_ weight: Tensor, _ gram: Tensor, _ grid: IntegerGrid, _ isStatic: Bool) throws -> [UInt8] {
    let (outputs, inputs) = (weight.rows, weight.columns)
    let group = grid.groupSize ?? inputs
    var w = weight.values
    let c = gram.values
    let mean = (0..<inputs).reduce(0) { $0 + c[$1 * inputs + $1] } / Double(inputs)
    let u = try LinearAlgebra.inverseFactor(gram + Tensor.identity(inputs, .float64) * (0.01 * mean)).values
    func fit(_ row: Int, _ start: Int, _ values: [Double]) -> (scale: Double, zero: Double) {
      let part = values[row * inputs + start..<row * inputs + start + group]
      let (scale, zero) = grid.fit(low: part.min() ?? 0, high: part.max() ?? 0)
      return (Double(scale), Double(zero))
    }
    var codes = [UInt8](repeating: 0, count: w.count)
    let original = w
    for row in 0..<outputs {
      var (scale, zero) = (1.0, 0.0)
      for j in 0..<inputs {
        if j % group == 0 { (scale, zero) = fit(row, j, isStatic ? original : w) }
        let code = grid.code(w[row * inputs + j], scale, zero)
        codes[row * inputs + j] = UInt8(code)
        let error = (w[row * inputs + j] - (code - zero) * scale) / u[j * inputs + j]
        for k in j..<inputs { w[row * inputs + k] -= error * u[j * inputs + k] }
      }
    }
    return codes
  }

  @Test func feedbackOfIndependentInputsIsRounding() throws {
    let (weight, _) = Self.problem()
    var random = Philox(key: 2)
    let diagonal = Tensor.identity(48, .float64).multipliedByRow(random.uniform([48], in: 0.5..<2, .float64))
    let grid = try IntegerGrid(bits: 3, groupSize: 16)
    let nearest = try Self.grid(IntegerQuantizer(grid).quantized(weight, gram: nil).codes)
    for ordersByActivity in [false, true] {
      let gptq = try GPTQ(hasStaticGroups: true, ordersByActivity: ordersByActivity)
      let codes = try Self.grid(IntegerQuantizer(grid, rounding: .feedback(gptq)).quantized(weight, gram: diagonal).codes)
      #expect(codes.codes == nearest.codes)
      #expect(codes.scales.array(of: Float.self) == nearest.scales.array(of: Float.self))
      #expect(codes.zeros.array(of: UInt8.self) == nearest.zeros.array(of: UInt8.self))
    }
    // Static grids do not depend on the feedback.
    let (_, gram) = Self.problem()
    let codes = try Self.grid(
      IntegerQuantizer(grid, rounding: .feedback(GPTQ(hasStaticGroups: true))).quantized(weight, gram: gram).codes)
    #expect(codes.scales.array(of: Float.self) == nearest.scales.array(of: Float.self))
  }

  @Test func deadInputsBecomeZero() throws {
    let (weight, gram) = Self.problem()
    let alive = Tensor((0..<48).map { $0 == 5 ? 0 : 1 }, .float64)
    let dead = gram.multipliedByRow(alive).multipliedByColumn(alive)
    let quantized = try IntegerQuantizer(IntegerGrid(bits: 4, groupSize: 16), rounding: .feedback(GPTQ()))
      .quantized(weight, gram: dead)
    let values = quantized.matrix.dense().values
    #expect((0..<24).allSatisfy { values[$0 * 48 + 5] == 0 } && values.contains { $0 != 0 })
  }

  /// Two inputs that are one, up to noise that makes the Gram indefinite: damping has to rise, and that is told.
  @Test func dampingRisesAndIsTold() throws {
    let (weight, _) = Self.problem(4, 2)
    let gram = Tensor([1, 1.05, 1.05, 1], shape: [2, 2], .float64)
    let quantized = try IntegerQuantizer(IntegerGrid(bits: 4), rounding: .feedback(GPTQ())).quantized(weight, gram: gram)
    #expect(quantized.notes == ["percdamp was raised from 0.01 to 0.1: the Gram could not be factored"])
    let hopeless = Tensor([1, 9, 9, 1], shape: [2, 2], .float64)
    #expect(throws: Refusal.self) {
      try IntegerQuantizer(IntegerGrid(bits: 4), rounding: .feedback(GPTQ())).quantized(weight, gram: hopeless)
    }
  }

  @Test func coordinateDescentNeverGrows() throws {
    let (weight, gram) = Self.problem(20, 150, tokens: 300, seed: 9)
    let mean = (0..<150).reduce(0) { $0 + gram.values[$1 * 150 + $1] } / 150
    let metric = gram + Tensor.identity(150, .float64) * (0.75 * mean)
    var last = Double.infinity
    for descents in 0..<4 {
      let quantized = try IntegerQuantizer(IntegerGrid(bits: 2, groupSize: 50), descents: descents).quantized(weight, gram: gram)
      let error = QuantizationError.output(quantized.error(of: weight), gram: metric)
      #expect(error <= last * (1 + 1e-12))
      if descents == 1 { #expect(error < 0.95 * last) }
      last = error
    }
  }

  @Test func magnitudesShrinkStepByStep() throws {
    let (weight, gram) = Self.problem()
    let w = weight.converted(to: .float64)
    let size = try LinearAlgebra.largestEigenvalue(gram)
    func peaks(_ v: Tensor) -> Double {
      let values = v.values
      return stride(from: 0, to: values.count, by: 16).reduce(0) { sum, start in
        sum + values[start..<start + 16].reduce(0) { max($0, abs($1)) }
      }
    }
    for alpha in [1e-3, 0.05] {
      func objective(_ v: Tensor) -> Double {
        let off = QuantizationError.output(v - w, gram: gram)
        return off * off / (2 * size) + alpha * peaks(v)
      }
      var last = objective(w)
      for iterations in 1...6 {
        let v = try MagR(alpha: alpha, iterations: iterations).reduced(w, gram: gram, groupSize: 16)
        #expect(objective(v) <= last * (1 + 1e-12))
        last = objective(v)
      }
      let v = try MagR(alpha: alpha).reduced(w, gram: gram, groupSize: 16)
      #expect(peaks(v) < peaks(w))
    }
    #expect(try MagR(iterations: 0).reduced(w, gram: gram, groupSize: 16).values == w.values)
    let near = try MagR(alpha: 1e-12).reduced(w, gram: gram, groupSize: 16)
    #expect((near - w).largestMagnitude < 1e-8)
  }

  @Test(arguments: [32, 64], [false, true]) func normalFloatsAreTheNearest(_ block: Int, _ isNested: Bool) throws {
    var random = Philox(key: 3)
    // 1111 elements: the last block is short; the first is zero.
    var weight = random.normal([11, 101], deviation: 0.3)
    weight = Tensor(weight.floats.enumerated().map { $0 < block ? 0 : $1 }, shape: [11, 101])
    let quantizer = try NormalFloat(blockSize: block, isNested: isNested)
    let quantized = try quantizer.quantized(weight, gram: nil)
    guard case .normalFloat(let codes) = quantized.codes else { throw Refusal("no normal float") }
    let (values, decoded, book) = (weight.values, quantized.matrix.dense(as: .float64).values, NormalFloatCodes.book)
    let exact = try NormalFloat(blockSize: block).quantized(weight, gram: nil)
    guard case .normalFloat(let plain) = exact.codes else { throw Refusal("no normal float") }
    let peaks = plain.peaks(0..<plain.blocks)
    for (i, code) in codes.codes.enumerated() {
      let target = values[i] / max(peaks[i / block], 1e-38)
      let distance = abs(Double(book[Int(code)]) - target)
      #expect(book.allSatisfy { distance <= abs(Double($0) - target) + 1e-12 })
    }
    for b in 0..<codes.blocks where peaks[b] > 0 {
      #expect(codes.codes[b * block..<min((b + 1) * block, 1111)].contains { $0 == 0 || $0 == 15 })
    }
    #expect(decoded[0..<block].allSatisfy { $0 == 0 })
    if case .nested(let nested) = codes.peaks {
      let outer = nested.peaks.array(of: Float.self)
      for b in 0..<codes.blocks { #expect(abs(nested[b] - peaks[b]) <= 0.0072 * Double(outer[b / 256]) + 1e-7) }
    } else {
      let again = try quantizer.quantized(Tensor(decoded, shape: [11, 101]), gram: nil).matrix.dense(as: .float64)
      #expect(zip(again.values, decoded).allSatisfy { abs($0 - $1) < 1e-7 })
    }
  }

  @Test func theDynamicMap() {
    let map = CodeBook.dynamic
    #expect(map.count == 256 && map == map.sorted() && Set(map).count == 256)
    #expect(map.first == -0.99296875 && map.last == 1 && map.contains(0))
    #expect(abs(map[map.count - 2] - 0.99296875) < 1e-7)
  }

  @Test func refusals() throws {
    func reason(_ body: () throws -> Void) -> String {
      do { try body() } catch { return "\(error)" }
      return "none"
    }
    #expect(reason { _ = try IntegerGrid(bits: 5) } == "bits is 5, but must be 2, 3, 4 or 8; use 4")
    #expect(reason { _ = try IntegerGrid(bits: 4, groupSize: 0) }.hasPrefix("group_size is 0"))
    #expect(reason { _ = try GPTQ(damping: 0) } == "percdamp is 0.0, but must be above 0; use 0.01")
    #expect(reason { _ = try GPTQ(damping: .nan) }.hasPrefix("percdamp is nan"))
    #expect(reason { _ = try MagR(alpha: 0) }.hasPrefix("magr_alpha is 0.0"))
    #expect(reason { _ = try MagR(iterations: -1) }.hasPrefix("magr_iters is -1"))
    #expect(reason { _ = try IntegerQuantizer(IntegerGrid(bits: 4), descents: -1) }.hasPrefix("coordinate_descent is -1"))
    for (size, near) in [(16, 32), (65, 64), (8192, 4096)] {
      #expect(reason { _ = try NormalFloat(blockSize: size) }.hasSuffix("from 32 to 4096; use \(near)"))
    }
    let (weight, gram) = Self.problem()
    let nearest = try IntegerQuantizer(IntegerGrid(bits: 4, groupSize: 10))
    #expect(
      reason { _ = try nearest.quantized(weight, gram: nil) } == "group_size 10 does not divide the 48 inputs; use 8, which does")
    let gptq = try IntegerQuantizer(IntegerGrid(bits: 4), rounding: .feedback(GPTQ()))
    #expect(reason { _ = try gptq.quantized(weight, gram: nil) }.hasPrefix("this needs the Gram of the weight's inputs"))
    #expect(reason { _ = try gptq.quantized(weight, gram: gram * .nan) }.contains("Gram of the inputs has entries"))
    #expect(reason { _ = try gptq.quantized(weight, gram: .zeros([3, 3])) }.contains("shape [3, 3]"))
    #expect(reason { _ = try gptq.quantized(weight * .infinity, gram: gram) }.contains("weight has entries that are not finite"))
    #expect(reason { _ = try NormalFloat().quantized(weight * .infinity, gram: nil) }.contains("not finite"))
  }
}
