import Testing

@testable import Engine

/// Every differentiable operation against central differences in double.
@Suite struct GradientTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let name: String
    let shapes: [[Int]]
    let function: @Sendable ([Tensor]) -> Tensor
    var testDescription: String { name }
  }

  @Test func leavesDoNotShareTheirGradients() throws {
    let (a, b) = (Tensor([1, 2]).tracked(), Tensor([3, 4]).tracked())
    (a + b).sum.backward()
    try #require(a.gradient).scaleInPlace(by: 5)
    #expect(b.gradient?.floats == [1, 1])
  }

  /// Zeros in their place would look like an answer.
  @Test func rowsWhoseSquaresOverflowHaveNoNorm() {
    let (x, ones) = (Tensor([1e30 as Float, -1e30], shape: [1, 2]), Tensor([1 as Float, 1], shape: [2]))
    for y in [x.rmsNorm(ones, eps: 1e-6), x.layerNorm(ones, ones, eps: 1e-6)] {
      #expect(y.floats.allSatisfy { $0.isNaN })
    }
  }

  static let cases: [Case] = [
    Case(name: "add", shapes: [[3, 4], [3, 4]]) { $0[0] + $0[1] },
    Case(name: "subtract", shapes: [[3, 4], [3, 4]]) { $0[0] - $0[1] },
    Case(name: "multiply", shapes: [[3, 4], [3, 4]]) { $0[0] * $0[1] },
    Case(name: "square of one tensor", shapes: [[5]]) { $0[0] * $0[0] },
    Case(name: "divide", shapes: [[3, 4], [3, 4]]) { $0[0] / ($0[1] * $0[1]) },
    Case(name: "squareRoot", shapes: [[7]]) { ($0[0] * $0[0]).squareRoot },
    Case(name: "scale", shapes: [[3, 4]]) { $0[0] * 1.7 },
    Case(name: "addingRow", shapes: [[3, 4], [4]]) { $0[0].addingRow($0[1]) },
    Case(name: "multipliedByRow", shapes: [[3, 4], [4]]) { $0[0].multipliedByRow($0[1]) },
    Case(name: "multipliedByColumn", shapes: [[3, 4], [3]]) { $0[0].multipliedByColumn($0[1]) },
    Case(name: "sum", shapes: [[3, 4]]) { $0[0].sum },
    Case(name: "tanh", shapes: [[7]]) { $0[0].tanh },
    Case(name: "sigmoid", shapes: [[7]]) { $0[0].sigmoid },
    Case(name: "exp", shapes: [[7]]) { $0[0].exp },
    Case(name: "relu", shapes: [[7]]) { $0[0].relu },
    Case(name: "shifted relu", shapes: [[5, 5]]) { $0[0].relu(shiftedBy: Tensor([2, 0.1, 0.5, 0.01, 0], $0[0].scalar)) },
    Case(name: "length", shapes: [[3, 4]]) { $0[0].length },
    Case(name: "length of a product", shapes: [[5, 2], [2, 6]]) { $0[0].productLength($0[1]) },
    Case(name: "silu", shapes: [[7]]) { $0[0].silu },
    Case(name: "gelu", shapes: [[7]]) { $0[0].gelu },
    Case(name: "geluTanh", shapes: [[7]]) { $0[0].geluTanh },
    Case(name: "swiglu", shapes: [[3, 5], [3, 5]]) { Tensor.swiglu(gate: $0[0], up: $0[1]) },
    Case(name: "geglu", shapes: [[3, 5], [3, 5]]) { Tensor.geglu(gate: $0[0], up: $0[1]) },
    Case(name: "capped", shapes: [[3, 5]]) { ($0[0] * 2).softCapped(1.5) },
    Case(name: "dropout", shapes: [[40]]) { $0[0].dropout(0.4, Philox(key: 9)) },
    Case(name: "product with a transpose", shapes: [[3, 4], [5, 4]]) { $0[0].multiplied(byTransposeOf: $0[1], scale: 0.3) },
    Case(name: "product", shapes: [[3, 4], [4, 5]]) { $0[0].multiplied(by: $0[1]) },
    Case(name: "product added", shapes: [[3, 4], [5, 4], [3, 5]]) { $0[0].linear($0[1], scale: 0.3, addedTo: $0[2]) },
    Case(name: "frozen linear", shapes: [[3, 4]]) { $0[0].linear(FrozenMatrix(ramp([5, 4]))) },
    Case(name: "reshape", shapes: [[3, 4]]) { $0[0].reshaped([2, 6]) },
    Case(name: "transpose", shapes: [[3, 4]]) { $0[0].transposed },
    Case(name: "row slice", shapes: [[5, 3]]) { $0[0].slice(rows: 1..<4) },
    Case(name: "column slice", shapes: [[5, 4]]) { $0[0].slice(columns: 1..<3) },
    Case(name: "added columns", shapes: [[5, 4], [5, 2]]) { $0[1].added(toColumnsFrom: 1, of: $0[0]) },
    Case(name: "wavelet bands", shapes: [[3, 7]]) { $0[0].waveletAnalysis(WaveletTransform(filter: skewed, levels: 2)) },
    Case(name: "wavelet pyramid", shapes: [[3, 7]]) {
      $0[0].waveletAnalysis(WaveletTransform(filter: skewed, levels: 2, parts: .pyramid))
    },
    Case(name: "wavelet synthesis", shapes: [[3, 8]]) {
      $0[0].waveletSynthesis(WaveletTransform(filter: skewed, levels: 3), count: 7)
    },
    Case(name: "wavelet synthesis added", shapes: [[3, 12], [3, 7]]) {
      $0[0].waveletSynthesis(WaveletTransform(filter: skewed, levels: 2, parts: .pyramid), addedTo: $0[1])
    },
    Case(name: "joined columns", shapes: [[3, 2], [3, 4]]) { Tensor.joinedColumns($0) },
    Case(name: "joined rows", shapes: [[2, 3], [4, 3]]) { Tensor.joinedRows($0) },
    Case(name: "gathered rows", shapes: [[4, 3]]) { $0[0].gatherRows([2, 0, 2, 3]) },
    Case(name: "gathered entries", shapes: [[4]]) {
      $0[0].gather([3, 1, 1, 0, 3, 2], norms: ramp([4]), shape: [2, 3])
    },
    Case(name: "kernel merge", shapes: [[3, 20], [2, 20, 3], [2, 5, 3]]) {
      $0[0].multiplied(byTransposeOf: KernelMerge(a: $0[1], b: $0[2], scale: 0.3))
    },
    Case(name: "gated kernel merge", shapes: [[3, 20], [2, 20, 3], [2, 5, 3], [3, 5]]) {
      $0[0].linear(fixedGate(KernelMerge(a: $0[1], b: $0[2], scale: 0.3), isSoft: false), addedTo: $0[3] * 0.7)
    },
    Case(name: "softly gated kernel merge over a base", shapes: [[3, 20], [2, 20, 3], [2, 5, 3]]) {
      let base = ramp([5, 20])
      return $0[0].linear(fixedGate(KernelMerge(a: $0[1], b: $0[2], scale: 0.3), isSoft: true)) { base.slice(rows: $0) }
    },
    Case(name: "weighted slices", shapes: [[3, 8], [3, 4]]) { $0[0].weightedSlices($0[1]) },
    Case(name: "mixture", shapes: [[3, 4], [5, 2, 4], [3, 5]]) { $0[0].mixture(of: $0[1], $0[2]) },
    Case(name: "Hadamard transform", shapes: [[3, 8]]) { $0[0].hadamard(Hadamard(inputs: 8)) },
    Case(name: "padded Hadamard transform", shapes: [[2, 17]]) { $0[0].hadamard(Hadamard(inputs: 17)) },
    Case(name: "cropped Hadamard transform", shapes: [[2, 36]]) { $0[0].hadamardTransposed(Hadamard(inputs: 33)) },
    Case(name: "sparse product", shapes: [[3, 5], [4], [3, 3]]) {
      $0[0].sparse($0[1], at: somePlaces, scale: 0.7, addedTo: $0[2])
    },
    Case(name: "sparse product of many rows", shapes: [[40, 5], [4], [40, 3]]) {
      $0[0].sparse($0[1], at: somePlaces, scale: 0.7, addedTo: $0[2])
    },
    Case(name: "scattered entries", shapes: [[4]]) { $0[0].scattered(at: somePlaces, scale: 0.7) },
    Case(name: "divergence", shapes: [[3, 5], [3, 5]]) { $0[0].divergence(from: $0[1]) },
    Case(name: "divergence of some", shapes: [[2, 4], [2, 4]]) {
      $0[0].divergence(from: $0[1], allowed: [true, false, true, true, false, true, true, false])
    },
    Case(name: "rmsNorm", shapes: [[3, 6], [6]]) { $0[0].rmsNorm($0[1], eps: 1e-5) },
    Case(name: "layerNorm", shapes: [[3, 6], [6], [6]]) { $0[0].layerNorm($0[1], $0[2], eps: 1e-5) },
    Case(name: "softmax", shapes: [[3, 5]]) { $0[0].softmax() },
    Case(name: "softmax of some", shapes: [[2, 4]]) {
      $0[0].softmax(allowed: [true, false, true, true, false, true, true, false])
    },
    Case(name: "rotary", shapes: [[5, 8]]) { $0[0].rotary(ramp([5, 2]), ramp([5, 2]) * 0.7, [0, 1, 2, 0, 1], width: 4) },
    Case(name: "attention", shapes: [[7, 8], [7, 4], [7, 4]]) {
      Tensor.attention(
        $0[0], $0[1], $0[2], RowLayout(lengths: [4, 3]), AttentionShape(heads: 4, groups: 2, width: 2, scale: 0.7))
    },
    Case(name: "attention with hidden keys", shapes: [[6, 4], [6, 4], [6, 4]]) {
      Tensor.attention(
        $0[0], $0[1], $0[2], RowLayout(sequences: 2, length: 3, visible: [1, 1, 0, 0, 1, 1]),
        AttentionShape(heads: 2, groups: 2, width: 2, scale: 0.7))
    },
    Case(name: "attention with dropout", shapes: [[5, 4], [5, 4], [5, 4]]) {
      Tensor.attention(
        $0[0], $0[1], $0[2], RowLayout(lengths: [5]), AttentionShape(heads: 2, groups: 2, width: 2, scale: 0.7),
        dropout: (0.3, Philox(key: 4)))
    },
    Case(name: "attention to the whole", shapes: [[7, 8], [7, 4], [7, 4]]) {
      Tensor.attention(
        $0[0], $0[1], $0[2], RowLayout(lengths: [4, 3], visible: [1, 0, 1, 1, 0, 1, 1]),
        AttentionShape(heads: 4, groups: 2, width: 2, scale: 0.7, sight: .whole))
    },
    Case(name: "patches", shapes: [[2, 3, 5, 6]]) { $0[0].patches(height: 2, width: 3) },
    Case(name: "weighted sums", shapes: [[5, 3]]) { $0[0].weightedSums(over: [0..<2, 1..<5], weights: [0.5, 2, 0, -1, 3]) },
    Case(name: "attention through a window, capped", shapes: [[7, 8], [7, 4], [7, 4]]) {
      Tensor.attention(
        $0[0], $0[1], $0[2], RowLayout(lengths: [5, 2]),
        AttentionShape(heads: 4, groups: 2, width: 2, scale: 0.7, sight: .window(2), scoreCap: 0.8))
    },
    Case(name: "attention through a window that hidden keys leave empty", shapes: [[6, 4], [6, 4], [6, 4]]) {
      Tensor.attention(
        $0[0], $0[1], $0[2], RowLayout(lengths: [6], visible: [0, 1, 0, 0, 0, 1]),
        AttentionShape(heads: 2, groups: 2, width: 2, scale: 0.7, sight: .window(3), scoreCap: 2))
    },
    Case(name: "computed twice", shapes: [[5, 3], [5, 3], [4, 3]]) { inputs in
      let (x, z, w) = (inputs[0], inputs[1], inputs[2])
      let part = { (t: [Tensor]) in [t[0].multiplied(byTransposeOf: w).tanh, (t[0] * t[1]).sum] }
      let results = Tensor.recomputed(from: [x, z], first: part, again: part)
      return results[0] * results[0] + results[0].multipliedByColumn(Tensor.joinedRows([Tensor](repeating: results[1], count: 5)))
    },
    Case(name: "cross-entropy", shapes: [[4, 3]]) {
      $0[0].crossEntropy(labels: [2, -100, 0, 4], scale: 0.25, vocabulary: 5) { $0.linear(FrozenMatrix(ramp([5, 3]))) }
    },
  ]

  @Test(arguments: cases) func agreesWithCentralDifferences(_ test: Case) {
    var random = Philox(key: 7)
    let inputs = test.shapes.map { random.normal($0, deviation: 1, .float64) }
    let leaves = inputs.map { $0.tracked() }
    let output = test.function(leaves)
    var weights = Philox(key: 8)
    // A loss is its own root; other results are summed with random weights.
    let seed = output.count == 1 ? Tensor([1], .float64) : weights.normal(output.shape, deviation: 1, .float64)
    Tensor.backward([(output, seed)])
    func value(_ inputs: [Tensor]) -> Double {
      zip(test.function(inputs).values, seed.values).reduce(0) { $0 + $1.0 * $1.1 }
    }
    for (i, input) in inputs.enumerated() {
      let analytic = leaves[i].gradient?.values ?? []
      #expect(analytic.count == input.count, "no gradient for input \(i)")
      for j in 0..<min(input.count, analytic.count) {
        func moved(_ h: Double) -> Double {
          var values = input.values
          values[j] += h
          var all = inputs
          all[i] = Tensor(values, shape: input.shape, .float64)
          return value(all)
        }
        let numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5
        #expect(abs(numeric - analytic[j]) < 1e-6 * max(1, abs(numeric)), "input \(i), entry \(j)")
      }
    }
  }

  @Test(arguments: cases) func floatAgreesWithDouble(_ test: Case) {
    guard !test.name.contains("frozen"), !test.name.contains("gated"), !test.name.contains("cross"),
      !test.name.contains("rotary"),
      !test.name.contains("entries")
    else { return }
    var random = Philox(key: 7)
    let inputs = test.shapes.map { random.normal($0, deviation: 1, .float64) }
    let wide = test.function(inputs).values
    let narrow = test.function(inputs.map { $0.converted(to: .float32) }).values
    for (a, b) in zip(wide, narrow) { #expect(abs(a - b) < 2e-5 * max(1, abs(a))) }
  }
}

/// Four places of [3, 5]; row 1 has none.
let somePlaces = SparsePlaces(Tensor([0, 0, 2, 2, 1, 4, 0, 4], shape: [2, 4], .float64), outputs: 3, inputs: 5)!

/// A tensor of distinct, moderate values.
func ramp(_ shape: [Int]) -> Tensor {
  let count = shape.reduce(1, *)
  let values = (0..<count).map { (i: Int) -> Double in
    let wave = Double((i * 7) % 11)
    return 0.3 + 0.1 * wave - 0.02 * Double(i)
  }
  return Tensor(values, shape: shape, .float64)
}

/// The merge behind a gate that was made elsewhere, as under a difference check: it stays while the factors move.
private func fixedGate(_ merge: KernelMerge, isSoft: Bool) -> KernelMerge {
  var random = Philox(key: 3)
  let (a, b) = (random.normal(merge.a.shape, deviation: 1, .float64), random.normal(merge.b.shape, deviation: 1, .float64))
  let threshold = KernelMerge(a: a, b: b, scale: merge.scale).quantile(0.6)
  return KernelMerge(
    a: merge.a, b: merge.b, scale: merge.scale, gate: .init(a: a, b: b, threshold: threshold, isSoft: isSoft))
}
/// A filter of no symmetry and no meaning.
private let skewed = [0.3, -0.8, 0.5, 0.2]
