import CKernels
import Engine
import Testing

/// Products with entries at given places, against the dense matrix that holds them.
@Suite struct SparseTests {
  /// Every third place of [outputs, inputs] or so, in order.
  func places(_ outputs: Int, _ inputs: Int, seed: UInt64 = 5) throws -> SparsePlaces {
    var random = Philox(key: seed)
    let chosen = (0..<outputs * inputs).filter { _ in random.integer(below: 3) == 0 }
    let index = chosen.map { Double($0 / inputs) } + chosen.map { Double($0 % inputs) }
    return try #require(SparsePlaces(Tensor(index, shape: [2, chosen.count]), outputs: outputs, inputs: inputs))
  }

  /// Below and above the tile of 32 tokens, with several groups of tiles.
  @Test(arguments: [1, 7, 8, 31, 32, 33, 300], [ScalarType.float32, .float64])
  func agreesWithTheDenseMatrix(_ tokens: Int, _ scalar: ScalarType) throws {
    let places = try places(19, 37)
    var random = Philox(key: 6)
    let values = random.normal([places.count], deviation: 1, .float64)
    let x = random.normal([tokens, 37], deviation: 1, .float64)
    let base = random.normal([tokens, 19], deviation: 1, .float64)
    let dy = random.normal([tokens, 19], deviation: 1, .float64)
    let dense = values.scattered(at: places, scale: 0.7)
    let index = places.index.values
    for l in 0..<places.count {
      #expect(dense.values[Int(index[l]) * 37 + Int(index[places.count + l])] == 0.7 * values.values[l])
    }
    func narrow(_ x: Tensor) -> Tensor { x.converted(to: scalar) }
    let leaves = [x, values, base].map { narrow($0).tracked() }
    let y = leaves[0].sparse(leaves[1], at: places, scale: 0.7, addedTo: leaves[2])
    Tensor.backward([(y, narrow(dy))])
    let all = dy.transposed.multiplied(by: x) * 0.7
    let sampled = (0..<places.count).map { all.values[Int(index[$0]) * 37 + Int(index[places.count + $0])] }
    let tolerance = scalar == .float32 ? 2e-5 : 1e-12
    for (ours, expected) in [
      (y.detached, base + x.multiplied(byTransposeOf: dense)), (leaves[0].gradient, dy.multiplied(by: dense)),
      (leaves[1].gradient, Tensor(sampled, .float64)), (leaves[2].gradient, dy),
    ] {
      let error = (try #require(ours).converted(to: .float64) - expected).largestMagnitude
      #expect(error < tolerance * max(1, expected.largestMagnitude))
    }
  }

  /// A frozen input costs no gradient, and frozen values keep no input.
  @Test func gradientsComeOneByOne() throws {
    let places = try places(5, 6)
    var random = Philox(key: 7)
    let values = random.normal([places.count], deviation: 1, .float64)
    let x = random.normal([9, 6], deviation: 1, .float64)
    let zero = Tensor.zeros([9, 5], .float64)
    let (theta, input) = (values.tracked(), x.tracked())
    Tensor.backward([(x.sparse(theta, at: places, addedTo: zero), Tensor(repeating: 1, shape: [9, 5], .float64))])
    Tensor.backward([(input.sparse(values, at: places, addedTo: zero), Tensor(repeating: 1, shape: [9, 5], .float64))])
    #expect(theta.gradient?.count == places.count && input.gradient?.shape == [9, 6])
    #expect(zero.largestMagnitude == 0, "a base that others hold is not written")
  }

  /// Rows, then columns, of two places in [3, 4].
  @Test(arguments: [
    [0, 0, 1, 0], [0, 0, 1, 1], [1, 0, 0, 0], [0, 3, 0, 0], [0, 1, 0, 4], [-1, 0, 0, 0], [0, 1, 0.5, 0], [.nan, 1, 0, 0],
    [0, 1, .infinity, 0],
  ])
  func placesOutOfOrderOrRange(_ index: [Double]) {
    for scalar in [ScalarType.float32, .float64] {
      #expect(SparsePlaces(Tensor(index, shape: [2, 2], scalar), outputs: 3, inputs: 4) == nil)
    }
    #expect(SparsePlaces(Tensor([0, 0, 1, 2], shape: [2, 2]), outputs: 3, inputs: 4)?.count == 2)
  }

  @Test(arguments: [0, 1, 2, 3, 64]) func kernelsAgree(_ count: Int) {
    let (outputs, inputs) = (6, 23)
    var source = KernelSource(state: 71)
    let flat = Array(0..<outputs * inputs).shuffled(using: &source)[..<count].sorted()
    let (row, column) = (flat.map { Float($0 / inputs) }, flat.map { Float($0 % inputs) })
    let theta = values(count, seed: 72)
    #expect(entries_fit_f32(row, column, count, outputs, inputs) == 1)
    #expect(entries_fit_ref_f32(row, column, count, outputs, inputs) == 1)
    for tokens in [1, 15, 16, 17, 32] {
      let x = values(tokens * inputs, seed: 73), g = values(tokens * outputs, seed: 74)
      func tiles(_ x: [Float], _ cols: Int) -> ([Float], [Float], [Double]) {
        var (a, b) = ([Float](repeating: 9, count: cols * 32), [Float](repeating: 8, count: cols * 32))
        var c = [Double](repeating: 7, count: cols * 32)
        to_tile_f32(&a, x, tokens, cols)
        to_tile_ref_f32(&b, x, tokens, cols)
        to_tile_f64(&c, wide(x), tokens, cols)
        agree("to tile", tolerance: 0, fast: a, reference: b, double: c)
        return (a, b, c)
      }
      let (zA, zB, zC) = tiles(x, inputs)
      var (yA, yB, yC) = tiles(g, outputs)
      let (gA, gB, gC) = (yA, yB, yC)
      entries_acc_f32(&yA, theta, row, column, 0.5, zA, count)
      entries_acc_ref_f32(&yB, theta, row, column, 0.5, zB, count)
      entries_acc_f64(&yC, wide(theta), wide(row), wide(column), 0.5, zC, count)
      agree("entries", tolerance: 1e-5, fast: yA, reference: yB, double: yC)
      for accumulate: Int32 in [0, 1] {
        var (a, b, c) = (g, g, wide(g))
        from_tile_f32(&a, accumulate, yA, tokens, outputs)
        from_tile_ref_f32(&b, accumulate, yB, tokens, outputs)
        from_tile_f64(&c, accumulate, yC, tokens, outputs)
        agree("from tile", tolerance: 1e-5, fast: a, reference: b, double: c)
      }
      var (tA, tB, tC) = (theta, theta, wide(theta))
      entries_gradient_acc_f32(&tA, row, column, 0.5, gA, zA, count)
      entries_gradient_acc_ref_f32(&tB, row, column, 0.5, gB, zB, count)
      entries_gradient_acc_f64(&tC, wide(row), wide(column), 0.5, gC, zC, count)
      agree("entries dtheta", tolerance: 1e-5, fast: tA, reference: tB, double: tC)
    }
    let order = (0..<count).sorted { (column[$0], row[$0]) < (column[$1], row[$1]) }
    let none = [Float](repeating: 9, count: count)
    var (tA, rA, cA, tB, rB, cB) = (none, none, none, none, none, none)
    var (tC, rC, cC, next) = (wide(none), wide(none), wide(none), [Int32](repeating: 9, count: inputs))
    entries_transposed_f32(&tA, &rA, &cA, theta, row, column, &next, count, inputs)
    entries_transposed_ref_f32(&tB, &rB, &cB, theta, row, column, &next, count, inputs)
    entries_transposed_f64(&tC, &rC, &cC, wide(theta), wide(row), wide(column), &next, count, inputs)
    for (list, a, b, c) in [(theta, tA, tB, tC), (row, rA, rB, rC), (column, cA, cB, cC)] {
      #expect(a == order.map { list[$0] } && b == a && c == wide(a))
    }
    let z = values(inputs, seed: 75), y = values(outputs, seed: 76)
    var (a, b, c) = (y, y, wide(y))
    entries_row_acc_f32(&a, theta, row, column, 0.5, z, count)
    entries_row_acc_ref_f32(&b, theta, row, column, 0.5, z, count)
    entries_row_acc_f64(&c, wide(theta), wide(row), wide(column), 0.5, wide(z), count)
    agree("one token", tolerance: 1e-5, fast: a, reference: b, double: c)
    var (dA, dB, dC) = (z, z, wide(z))
    (tA, tB, tC) = (theta, theta, wide(theta))
    entries_row_backward_acc_f32(&dA, &tA, theta, row, column, 0.5, y, z, count)
    entries_row_backward_acc_ref_f32(&dB, &tB, theta, row, column, 0.5, y, z, count)
    entries_row_backward_acc_f64(&dC, &tC, wide(theta), wide(row), wide(column), 0.5, wide(y), wide(z), count)
    agree("one token's dz", tolerance: 1e-5, fast: dA, reference: dB, double: dC)
    agree("one token's dtheta", tolerance: 1e-5, fast: tA, reference: tB, double: tC)
  }
}
