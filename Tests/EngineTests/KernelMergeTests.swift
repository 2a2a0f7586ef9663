import CKernels
import Foundation
import Testing

@testable import Engine

@Suite struct KernelMergeTests {
  /// Factors [2, inputs, q] and [2, outputs, q] of a merge.
  private func factors(_ outputs: Int, _ inputs: Int, _ q: Int, _ scalar: ScalarType = .float64) -> (a: Tensor, b: Tensor) {
    var random = Philox(key: 5)
    return (
      random.normal([2, inputs, q], deviation: 1, scalar), random.normal([2, outputs, q], deviation: 1, scalar)
    )
  }

  /// D by its definition.
  private func distances(_ a: Tensor, _ b: Tensor, _ scale: Double) -> [Double] {
    let (inputs, outputs, q) = (a.shape[1], b.shape[1], a.columns)
    let (av, bv) = (a.values, b.values)
    return (0..<outputs * inputs).map { at in
      let (o, i) = (at / inputs, at % inputs)
      let d = (0..<2).map { p in
        (0..<q).reduce(0.0) { $0 + pow(av[(p * inputs + i) * q + $1] - bv[(p * outputs + o) * q + $1], 2) }.squareRoot()
      }
      return scale * (d[0] - d[1])
    }
  }

  @Test(arguments: [1, 15, 16, 17, 40], [1, 4, 11]) func kernelsAgree(n: Int, q: Int) {
    let rows = 3
    let (a0, a1) = (values(q * n, seed: 1), values(q * n, seed: 2))
    let (b0, b1) = (values(rows * q, seed: 3), values(rows * q, seed: 4))
    let zeros = [Float](repeating: 0, count: rows * n)
    var (dA, dB, dC) = (zeros, zeros, wide(zeros))
    merge_f32(&dA, a0, a1, b0, b1, 0.1, rows, n, q, n, n)
    merge_ref_f32(&dB, a0, a1, b0, b1, 0.1, rows, n, q, n, n)
    merge_f64(&dC, wide(a0), wide(a1), wide(b0), wide(b1), Double(Float(0.1)), rows, n, q, n, n)
    agree("merge", tolerance: 3e-7, fast: dA, reference: dB, double: dC)

    let x = values(rows * n, seed: 5)
    var (gA, gB, gC) = (zeros, zeros, wide(zeros))
    for soft: Int32 in [0, 1] {
      merge_gate_f32(&gA, x, dA, 0.1, soft, rows * n)
      merge_gate_ref_f32(&gB, x, dA, 0.1, soft, rows * n)
      merge_gate_f64(&gC, wide(x), wide(dA), Double(Float(0.1)), soft, rows * n)
      agree("merge_gate", tolerance: 3e-7, fast: gA, reference: gB, double: gC)
    }

    let start = values(q * n, seed: 6), none = [Float](repeating: 0, count: rows * q)
    var (da0, da1, db0, db1) = (start, start, none, none), (ra0, ra1, rb0, rb1) = (start, start, none, none)
    var (wa0, wa1, wb0, wb1) = (wide(start), wide(start), wide(none), wide(none))
    merge_backward_acc_f32(&da0, &da1, &db0, &db1, gA, a0, a1, b0, b1, 0.1, rows, n, q, n, n)
    merge_backward_acc_ref_f32(&ra0, &ra1, &rb0, &rb1, gA, a0, a1, b0, b1, 0.1, rows, n, q, n, n)
    merge_backward_acc_f64(
      &wa0, &wa1, &wb0, &wb1, wide(gA), wide(a0), wide(a1), wide(b0), wide(b1), Double(Float(0.1)), rows, n, q, n, n)
    agree("da0", tolerance: 1e-6, fast: da0, reference: ra0, double: wa0)
    agree("da1", tolerance: 1e-6, fast: da1, reference: ra1, double: wa1)
    agree("db0", tolerance: 1e-6, fast: db0, reference: rb0, double: wb0)
    agree("db1", tolerance: 1e-6, fast: db1, reference: rb1, double: wb1)

    #expect(magnitude_above_f32(x, x.count, 1) == magnitude_above_ref_f32(x, x.count, 1))
    #expect(Double(magnitude_above_f32(x, x.count, 1)) == magnitude_above_f64(wide(x), x.count, 1))
    #expect(magnitude_above_f32(x, x.count, 9) == .infinity)
  }

  /// Each sweep decides some bits: shapes of one tile and of several, both scalars.
  @Test(arguments: [(24, 20, 4), (300, 700, 2)], [ScalarType.float32, .float64])
  func quantileIsTheInterpolatedOne(_ shape: (Int, Int, Int), scalar: ScalarType) {
    let (a, b) = factors(shape.0, shape.1, shape.2, scalar)
    let merge = KernelMerge(a: a, b: b, scale: 0.1)
    let sorted = merge.dense().values.map(abs).sorted()
    for share in [0, 0.25, 0.6, 0.9, 0.995, 1] {
      let place = share * Double(sorted.count - 1)
      let (low, rest) = (Int(place), place - place.rounded(.down))
      let next = sorted[min(low + 1, sorted.count - 1)]
      #expect(abs(merge.quantile(share) - (sorted[low] + rest * (next - sorted[low]))) < 1e-16)
    }
  }

  /// Magnitudes that occur more than once have no gap to interpolate over.
  @Test func quantileOfEqualMagnitudes() {
    let a = Tensor([3, 3, 3, 0, 0, 0], shape: [2, 3, 1], .float64)
    let merge = KernelMerge(a: a, b: Tensor([0, 1, 0, 0], shape: [2, 2, 1], .float64), scale: 1)
    #expect(merge.dense().values == [3, 3, 3, 2, 2, 2])
    #expect([0, 0.3, 0.5, 0.7, 1].map(merge.quantile) == [2, 2, 2.5, 3, 3])
    let same = KernelMerge(a: a * 0, b: .zeros([2, 2, 1], .float64), scale: 1)
    #expect(same.quantile(0.9) == 0)
  }

  @Test(arguments: [false, true]) func mergesByDefinition(isSoft: Bool) {
    let (a, b) = factors(70, 33, 3)
    let d = distances(a, b, 0.1)
    let plain = KernelMerge(a: a, b: b, scale: 0.1)
    #expect(zip(plain.dense().values, d).allSatisfy { abs($0 - $1) < 1e-14 })
    let t = plain.quantile(0.7)
    let merge = KernelMerge(a: a, b: b, scale: 0.1, gate: .init(a: a, b: b, threshold: t, isSoft: isSoft))
    let expected = d.map { $0 * (abs($0) > t ? abs($0) - (isSoft ? t : 0) : 0) }
    #expect(zip(merge.dense().values, expected).allSatisfy { abs($0 - $1) < 1e-15 })

    var random = Philox(key: 6)
    let (x, base) = (random.normal([5, 33], deviation: 1, .float64), random.normal([5, 70], deviation: 1, .float64))
    let w = random.normal([70, 33], deviation: 1, .float64)
    let matrix = Tensor(expected, shape: [70, 33], .float64)
    func distance(_ a: Tensor, _ b: Tensor) -> Double { (a - b).largestMagnitude }
    #expect(distance(x.multiplied(byTransposeOf: merge), x.linear(matrix)) < 1e-14)
    #expect(distance(x.linear(merge, addedTo: base), base + x.linear(matrix)) < 1e-13)
    #expect(distance(x.linear(merge) { w.slice(rows: $0) }, x.linear(w + matrix)) < 1e-13)
  }

  /// Equal points have no direction between them: their distance has slope 0, not NaN.
  @Test func pointsThatMeetHaveNoSlope() throws {
    let a = Tensor.zeros([2, 20, 2]).tracked(), b = Tensor.zeros([2, 3, 2]).tracked()
    Tensor(repeating: 1, shape: [2, 20]).multiplied(byTransposeOf: KernelMerge(a: a, b: b, scale: 0.1)).sum.backward()
    #expect(try #require(a.gradient).largestMagnitude == 0 && #require(b.gradient).largestMagnitude == 0)
  }

  @Test func nanIsNotGatedAway() {
    let (a, b) = factors(3, 20, 2, .float32)
    var values = a.values
    values[0] = .nan
    let broken = Tensor(values, shape: a.shape)
    let merge = KernelMerge(a: broken, b: b, scale: 0.1, gate: .init(a: broken, b: b, threshold: 1e9, isSoft: false))
    #expect(merge.dense().values[0].isNaN && merge.dense().values[1] == 0)
  }
}
