import CKernels
import Engine
import Foundation
import Testing

private let lengths = [0, 1, 15, 16, 17, 33, 100]

private typealias Map1<T> = (UnsafeMutablePointer<T>?, UnsafePointer<T>?, Int) -> Void
private typealias Map2<T> = (UnsafeMutablePointer<T>?, UnsafePointer<T>?, UnsafePointer<T>?, Int) -> Void
private typealias Gate<T> = (
  UnsafeMutablePointer<T>?, UnsafeMutablePointer<T>?, UnsafePointer<T>?, UnsafePointer<T>?, UnsafePointer<T>?, Int
) -> Void
private typealias Rows1<T> = (UnsafeMutablePointer<T>?, UnsafePointer<T>?, UnsafePointer<T>?, Int, Int) -> Void

@Suite struct ElementwiseKernels {
  @Test(arguments: lengths) func unary(n: Int) {
    let cases: [(String, Map1<Float>, Map1<Float>, Map1<Double>, Double)] = [
      ("exp", exp_f32, exp_ref_f32, exp_f64, 3e-7),
      ("tanh", tanh_f32, tanh_ref_f32, tanh_f64, 3e-7),
      ("sigmoid", sigmoid_f32, sigmoid_ref_f32, sigmoid_f64, 3e-7),
      ("relu", relu_f32, relu_ref_f32, relu_f64, 0),
      ("square_root", square_root_f32, square_root_ref_f32, square_root_f64, 3e-7),
      ("gelu_tanh", gelu_tanh_f32, gelu_tanh_ref_f32, gelu_tanh_f64, 3e-7),
      ("gelu_erf", gelu_erf_f32, gelu_erf_ref_f32, gelu_erf_f64, 3e-7),
      ("silu", silu_f32, silu_ref_f32, silu_f64, 3e-7),
      (
        "softcap", { softcap_f32($0, $1, 0.7, 3, $2) }, { softcap_ref_f32($0, $1, 0.7, 3, $2) },
        { softcap_f64($0, $1, Double(Float(0.7)), 3, $2) }, 5e-7
      ),
    ]
    let x = values(n, -6...6, seed: 1), y = values(n, seed: 2)
    for (name, fast, reference, double, tolerance) in cases {
      var a = y, b = y, c = wide(y)
      fast(&a, x, n)
      reference(&b, x, n)
      double(&c, wide(x), n)
      agree(name, tolerance: tolerance, fast: a, reference: b, double: c)
    }
  }

  @Test(arguments: lengths) func binary(n: Int) {
    let cases: [(String, Map2<Float>, Map2<Float>, Map2<Double>)] = [
      ("add", add_f32, add_ref_f32, add_f64),
      ("sub", sub_f32, sub_ref_f32, sub_f64),
      ("mul", mul_f32, mul_ref_f32, mul_f64),
      ("div", div_f32, div_ref_f32, div_f64),
      ("square_root_backward", square_root_backward_acc_f32, square_root_backward_acc_ref_f32, square_root_backward_acc_f64),
      ("mul_acc", mul_acc_f32, mul_acc_ref_f32, mul_acc_f64),
      ("swiglu", swiglu_f32, swiglu_ref_f32, swiglu_f64),
      ("geglu_tanh", geglu_tanh_f32, geglu_tanh_ref_f32, geglu_tanh_f64),
      (
        "softcap_backward", { softcap_backward_f32($0, $1, $2, 0.3, 7, $3) },
        { softcap_backward_ref_f32($0, $1, $2, 0.3, 7, $3) },
        { softcap_backward_f64($0, $1, $2, Double(Float(0.3)), 7, $3) }
      ),
      ("exp_backward", exp_backward_acc_f32, exp_backward_acc_ref_f32, exp_backward_acc_f64),
      ("tanh_backward", tanh_backward_acc_f32, tanh_backward_acc_ref_f32, tanh_backward_acc_f64),
      ("sigmoid_backward", sigmoid_backward_acc_f32, sigmoid_backward_acc_ref_f32, sigmoid_backward_acc_f64),
      ("relu_backward", relu_backward_acc_f32, relu_backward_acc_ref_f32, relu_backward_acc_f64),
      ("gelu_tanh_backward", gelu_tanh_backward_acc_f32, gelu_tanh_backward_acc_ref_f32, gelu_tanh_backward_acc_f64),
      ("gelu_erf_backward", gelu_erf_backward_acc_f32, gelu_erf_backward_acc_ref_f32, gelu_erf_backward_acc_f64),
      ("silu_backward", silu_backward_acc_f32, silu_backward_acc_ref_f32, silu_backward_acc_f64),
    ]
    let x = values(n, -6...6, seed: 3), g = values(n, seed: 4), y = values(n, seed: 5)
    for (name, fast, reference, double) in cases {
      var a = y, b = y, c = wide(y)
      fast(&a, x, g, n)
      reference(&b, x, g, n)
      double(&c, wide(x), wide(g), n)
      agree(name, tolerance: 1e-6, fast: a, reference: b, double: c)
    }
    // The plain twin loses a digit where 1 + tanh vanishes.
    let gated: [(String, Gate<Float>, Gate<Float>, Gate<Double>, Double)] = [
      ("swiglu", swiglu_backward_f32, swiglu_backward_ref_f32, swiglu_backward_f64, 1e-6),
      ("geglu_tanh", geglu_tanh_backward_f32, geglu_tanh_backward_ref_f32, geglu_tanh_backward_f64, 5e-6),
    ]
    for (name, fast, reference, double, tolerance) in gated {
      var (dgA, duA, dgB, duB) = (y, y, y, y), (dgC, duC) = (wide(y), wide(y))
      fast(&dgA, &duA, x, g, y, n)
      reference(&dgB, &duB, x, g, y, n)
      double(&dgC, &duC, wide(x), wide(g), wide(y), n)
      agree("\(name) dg", tolerance: tolerance, fast: dgA, reference: dgB, double: dgC)
      agree("\(name) du", tolerance: tolerance, fast: duA, reference: duB, double: duC)
    }
  }

  @Test(arguments: lengths) func scalars(n: Int) {
    let x = values(n, seed: 6), y = values(n, seed: 7)
    var a = y, b = y, c = wide(y)
    axpy_f32(&a, 0.7, x, n)
    axpy_ref_f32(&b, 0.7, x, n)
    axpy_f64(&c, Double(Float(0.7)), wide(x), n)
    agree("axpy", tolerance: 3e-7, fast: a, reference: b, double: c)
    scale_f32(&a, -2, x, n)
    scale_ref_f32(&b, -2, x, n)
    scale_f64(&c, -2, wide(x), n)
    agree("scale", tolerance: 0, fast: a, reference: b, double: c)
    let d = wide(x)
    #expect(abs(sum_f32(x, n) - sum_f64(d, n)) < 1e-12 && abs(sum_ref_f32(x, n) - sum_f64(d, n)) < 1e-12)
    #expect(abs(sum_squares_f32(x, n) - sum_squares_f64(d, n)) < 1e-11)
    #expect(Double(max_abs_f32(x, n)) == max_abs_f64(d, n))
    #expect(all_finite_f32(x, n) == 1 && all_finite_f64(d, n) == 1)
    for bad in [Float.nan, .infinity, -.infinity] {
      for i in x.indices {
        var z = x
        z[i] = bad
        #expect(all_finite_f32(z, n) == 0 && all_finite_ref_f32(z, n) == 0)
      }
    }
  }

  @Test(arguments: [1, 3, 5], [1, 15, 16, 17, 33, 100]) func rows(t: Int, d: Int) {
    let x = values(t * d, seed: 8), row = values(d, seed: 9), col = values(t, seed: 10), z = values(t * d, seed: 11)
    let cases: [(String, Rows1<Float>, Rows1<Float>, Rows1<Double>, [Float])] = [
      ("add_row", add_row_f32, add_row_ref_f32, add_row_f64, row),
      ("mul_row", mul_row_f32, mul_row_ref_f32, mul_row_f64, row),
      ("mul_col", mul_col_f32, mul_col_ref_f32, mul_col_f64, col),
    ]
    for (name, fast, reference, double, v) in cases {
      var a = x, b = x, c = wide(x)
      fast(&a, x, v, t, d)
      reference(&b, x, v, t, d)
      double(&c, wide(x), wide(v), t, d)
      agree(name, tolerance: 3e-7, fast: a, reference: b, double: c)
    }
    var a = row, b = row, c = wide(row)
    col_sum_acc_f32(&a, x, t, d)
    col_sum_acc_ref_f32(&b, x, t, d)
    col_sum_acc_f64(&c, wide(x), t, d)
    agree("col_sum", tolerance: 1e-6, fast: a, reference: b, double: c)
    a = col; b = col; c = wide(col)
    row_dot_f32(&a, x, z, t, d)
    row_dot_ref_f32(&b, x, z, t, d)
    row_dot_f64(&c, wide(x), wide(z), t, d)
    agree("row_dot", tolerance: 3e-6, fast: a, reference: b, double: c)
  }

  /// Relative to the exact value, over the normal range; then the edges.
  @Test func expAccuracy() {
    let x = (0..<200_000).map { Float(-87.3 + 175.9 * Double($0) / 199_999) }
    var y = x, worst = 0.0
    exp_f32(&y, x, x.count)
    for (v, e) in zip(x, y) { worst = max(worst, abs(Double(e) / Foundation.exp(Double(v)) - 1)) }
    #expect(worst < 2e-7)
    let edge: [Float] = [0, -.infinity, .infinity, .nan, 89, -104, -100, 88.7]
    var z = edge
    exp_f32(&z, edge, edge.count)
    #expect(z[0] == 1 && z[1] == 0 && z[2] == .infinity && z[3].isNaN && z[4] == .infinity && z[5] == 0)
    #expect(abs(Double(z[6]) - Foundation.exp(-100)) <= 1.5e-45 && z[7].isFinite)
  }

  /// Absolute errors over a fine sweep.
  @Test func activationAccuracy() {
    let n = 50_000, x = (0..<n).map { Float(-12 + 24 * Double($0) / Double(n - 1)) }
    let cases: [(String, Map1<Float>, Map1<Double>)] = [
      ("tanh", tanh_f32, tanh_f64), ("sigmoid", sigmoid_f32, sigmoid_f64), ("gelu_tanh", gelu_tanh_f32, gelu_tanh_f64),
      ("gelu_erf", gelu_erf_f32, gelu_erf_f64), ("silu", silu_f32, silu_f64),
    ]
    for (name, fast, double) in cases {
      var a = x, c = wide(x)
      fast(&a, x, n)
      double(&c, wide(x), n)
      let worst = zip(a, c).map { abs(Double($0) - $1) / max(1, abs($1)) }.max()!
      #expect(worst < 3e-7, "\(name)")
    }
  }
}

@Suite struct ConversionKernels {
  /// Every bf16 and every f16 widens exactly and comes back; NaN stays NaN.
  @Test func halvesRoundTrip() {
    let all = (0...UInt16.max).map { $0 }, n = all.count
    var y = [Float](repeating: 0, count: n), d = [Double](repeating: 0, count: n), back = all
    bf16_to_f32(&y, all, n)
    bf16_to_f64(&d, all, n)
    f32_to_bf16(&back, y, n)
    var wrong = 0
    for i in 0..<n {
      let exact = Float(bitPattern: UInt32(all[i]) << 16)
      if exact.isNaN {
        if !(y[i].isNaN && d[i].isNaN && Float(bitPattern: UInt32(back[i]) << 16).isNaN) { wrong += 1 }
      } else if y[i].bitPattern != exact.bitPattern || d[i] != Double(exact) || back[i] != all[i] {
        wrong += 1
      }
    }
    #expect(wrong == 0)
    f16_to_f32(&y, all, n)
    f16_to_f64(&d, all, n)
    f32_to_f16(&back, y, n)
    for i in 0..<n {
      let exact = Float(Float16(bitPattern: all[i]))
      if exact.isNaN {
        if !(y[i].isNaN && d[i].isNaN && Float16(bitPattern: back[i]).isNaN) { wrong += 1 }
      } else if y[i].bitPattern != exact.bitPattern || d[i] != Double(exact) || back[i] != all[i] {
        wrong += 1
      }
    }
    #expect(wrong == 0)
  }

  /// At, just below and just above the middle between any two neighbours, the nearest with ties to even.
  @Test func halvesRoundToNearestEven() {
    var x: [Float] = [], expected: [UInt16] = []
    for high in UInt16(0)...UInt16(0xFFFE) where Float(bitPattern: UInt32(high) << 16).isFinite {
      for low: UInt32 in [0x0001, 0x7FFF, 0x8000, 0x8001, 0xFFFF] {
        x.append(Float(bitPattern: UInt32(high) << 16 | low))
        expected.append(low > 0x8000 || low == 0x8000 && high & 1 == 1 ? high + 1 : high)
      }
    }
    var y = [UInt16](repeating: 0, count: x.count)
    f32_to_bf16(&y, x, x.count)
    #expect(zip(y, expected).allSatisfy(==))

    var source = KernelSource(state: 60)
    x = (0..<300_000).map { i in
      let bits = UInt32(truncatingIfNeeded: source.next())
      // Half of them near the f16 range, with few low bits so that ties occur.
      return i % 2 == 0 ? Float(bitPattern: bits) : Float(bitPattern: (bits & 0x8FFF_F000) &+ 0x3000_0000 &+ (bits & 1))
    }
    x += [
      65504, 65519.996, 65520, 65536, 1e9, .infinity, -.infinity, .nan, -.nan, 5.96e-8, 2.98e-8, 2.9802322e-8, 6.1e-5, 0, -0.0,
    ]
    y = [UInt16](repeating: 0, count: x.count)
    f32_to_f16(&y, x, x.count)
    let wrong = zip(y, x).filter { h, f in
      let want = Float16(f)
      return want.isNaN ? !Float16(bitPattern: h).isNaN : h != want.bitPattern
    }
    #expect(wrong.isEmpty)
  }

  @Test(arguments: lengths) func tails(n: Int) {
    let x = values(n, seed: 61)
    var h = [UInt16](repeating: 7, count: n + 1), y = [Float](repeating: 7, count: n + 1),
      d = [Double](repeating: 7, count: n + 1)
    f32_to_bf16(&h, x, n)
    bf16_to_f32(&y, h, n)
    #expect(h[n] == 7 && y[n] == 7 && zip(y, x).allSatisfy { abs($0 - $1) <= abs($1) / 256 })
    f32_to_f16(&h, x, n)
    f16_to_f32(&y, h, n)
    #expect(h[n] == 7 && y[n] == 7 && zip(y, x).allSatisfy { abs($0 - $1) <= abs($1) / 2048 + 1e-7 })
    f32_to_f64(&d, x, n)
    f64_to_f32(&y, d, n)
    #expect(d[n] == 7 && y[n] == 7 && Array(y[..<n]) == x)
  }

  @Test(arguments: [1, 15, 16, 17, 33, 100]) func gemv(cols: Int) {
    let rows = 11, w = values(rows * cols, seed: 62), x = values(cols, seed: 63), out = [Float](repeating: 5, count: rows)
    var (a, b, c) = (out, out, wide(out))
    gemv_f32(&a, w, x, 1, 10, cols)
    gemv_ref_f32(&b, w, x, 1, 10, cols)
    gemv_f64(&c, wide(w), wide(x), 1, 10, cols)
    agree("gemv", tolerance: 3e-6, fast: a, reference: b, double: c)
    #expect(a[0] == 5 && a[10] == 5)
    var h = [UInt16](repeating: 0, count: w.count), wh = w
    f32_to_bf16(&h, w, w.count)
    bf16_to_f32(&wh, h, w.count)
    gemv_bf16(&a, h, x, 1, 10, cols)
    gemv_f64(&c, wide(wh), wide(x), 1, 10, cols)
    #expect(error(a, c) < 3e-6)
    f32_to_f16(&h, w, w.count)
    f16_to_f32(&wh, h, w.count)
    gemv_f16(&a, h, x, 1, 10, cols)
    gemv_f64(&c, wide(wh), wide(x), 1, 10, cols)
    #expect(error(a, c) < 3e-6)
    // Lines of inputs: x of as many as there are rows.
    let lines = values(rows, seed: 64)
    (a, b, c) = ([Float](repeating: 5, count: cols), [Float](repeating: 5, count: cols), [Double](repeating: 5, count: cols))
    let (from, to) = (cols / 4, cols - cols / 8)
    gemv_lines_f32(&a, w, lines, from, to, rows, cols)
    gemv_lines_ref_f32(&b, w, lines, from, to, rows, cols)
    gemv_lines_f64(&c, wide(w), wide(lines), from, to, rows, cols)
    agree("gemv lines", tolerance: 3e-6, fast: a, reference: b, double: c)
    #expect(a[..<from].allSatisfy { $0 == 5 } && a[to...].allSatisfy { $0 == 5 })
    gemv_lines_f64(&c, wide(wh), wide(lines), from, to, rows, cols)
    gemv_lines_f16(&a, h, lines, from, to, rows, cols)
    #expect(error(a, c) < 3e-6)
    f32_to_bf16(&h, w, w.count)
    bf16_to_f32(&wh, h, w.count)
    gemv_lines_f64(&c, wide(wh), wide(lines), from, to, rows, cols)
    gemv_lines_bf16(&a, h, lines, from, to, rows, cols)
    #expect(error(a, c) < 3e-6)
    // Rows of the same table, by id.
    let ids: [Int32] = [3, 0, 3, 10]
    var rowsOut = [Float](repeating: 0, count: ids.count * cols)
    embed_f32(&rowsOut, w, ids, ids.count, cols)
    #expect(rowsOut == ids.flatMap { w[Int($0) * cols..<(Int($0) + 1) * cols] })
    var (gA, gB, gC) = (w, w, wide(w))
    embed_grad_acc_f32(&gA, rowsOut, ids, ids.count, cols)
    embed_grad_acc_ref_f32(&gB, rowsOut, ids, ids.count, cols)
    embed_grad_acc_f64(&gC, wide(rowsOut), ids, ids.count, cols)
    agree("embed grad", tolerance: 1e-6, fast: gA, reference: gB, double: gC)
  }
}

@Suite struct OptimizerAndRandomKernels {
  @Test(arguments: lengths) func adamw(n: Int) {
    let p = values(n, seed: 70), zero = [Float](repeating: 0, count: n)
    for beta1 in [0.9, 0.3] {
      var (pA, mA, vA) = (p, zero, zero), (pB, mB, vB) = (p, zero, zero), (pC, mC, vC) = (wide(p), wide(zero), wide(zero))
      var (exactP, exactM, exactV) = (pC, mC, vC)
      for step in 1...5 {
        let g = values(n, seed: 70 + UInt64(step))
        let (b1, b2) = (1 - pow(beta1, Double(step)), 1 - pow(0.999, Double(step)))
        adamw_f32(&pA, g, &mA, &vA, 0.01, beta1, 0.999, 1e-8, 0.1, b1, b2, n)
        adamw_ref_f32(&pB, g, &mB, &vB, 0.01, beta1, 0.999, 1e-8, 0.1, b1, b2, n)
        adamw_f64(&pC, wide(g), &mC, &vC, 0.01, beta1, 0.999, 1e-8, 0.1, b1, b2, n)
        for i in 0..<n {
          let g = Double(g[i])
          exactM[i] = beta1 * exactM[i] + (1 - beta1) * g
          exactV[i] = 0.999 * exactV[i] + 0.001 * g * g
          exactP[i] -= 0.01 * (0.1 * exactP[i] + exactM[i] / b1 / (sqrt(exactV[i] / b2) + 1e-8))
        }
      }
      agree("param", tolerance: 1e-6, fast: pA, reference: pB, double: pC)
      agree("m", tolerance: 1e-6, fast: mA, reference: mB, double: mC)
      agree("v", tolerance: 1e-6, fast: vA, reference: vB, double: vC)
      #expect(pA == pB && mA == mB && vA == vB)
      #expect(error(pC, exactP) < 1e-14)
    }
  }

  /// The known answers of Random123.
  @Test func philoxVectors() {
    let cases: [(key: UInt64, stream: UInt64, block: UInt64, words: [UInt32])] = [
      (0, 0, 0, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
      (.max, .max, .max, [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
      (
        0x299f_31d0_a409_3822, 0x0370_7344_1319_8a2e, 0x85a3_08d3_243f_6a88,
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
      ),
    ]
    for (key, stream, block, expected) in cases {
      var out: [UInt32] = [0, 0, 0, 0]
      philox_block(key, stream, block, &out)
      #expect(out == expected)
    }
    var stream = Philox(key: 0)
    #expect([stream.next(), stream.next()] == [0xe169_c58d_6627_e8d5, 0x9b00_dbd8_bc57_ac4c])
  }

  /// The fast masks equal the scalar ones, however they are split, past a 32-bit block too.
  @Test(arguments: [0, 3, 61, (1 << 34) - 20] as [UInt64]) func dropout(first: UInt64) {
    let n = 203, x = values(n, seed: 80), key: UInt64 = 0x1234_5678_9ABC_DEF0, stream: UInt64 = 0x77_0000_0005
    var a = x, b = x
    for p in [0, 0.1, 0.5, 1] {
      var c = wide(x)
      dropout_f32(&a, x, p, key, stream, first, n)
      dropout_ref_f32(&b, x, p, key, stream, first, n)
      dropout_f64(&c, wide(x), p, key, stream, first, n)
      #expect(a == b && zip(a, c).allSatisfy { ($0 == 0) == ($1 == 0) })
      if p == 0 { #expect(a == x) }
      if p == 1 { #expect(a.allSatisfy { $0 == 0 }) }
      var parts = x
      dropout_f32(&parts, x, p, key, stream, first, 50)
      parts.withUnsafeMutableBufferPointer {
        dropout_f32($0.baseAddress! + 50, $0.baseAddress! + 50, p, key, stream, first + 50, n - 50)
      }
      #expect(parts == a)
    }
  }

  @Test func moments() {
    let n = 100_000
    var stream = Philox(key: 1)
    var x = (0..<n).map { _ in stream.normal() }
    #expect(abs(sum_f64(x, n) / Double(n)) < 0.01 && abs(sum_squares_f64(x, n) / Double(n) - 1) < 0.02)
    x = (0..<n).map { _ in stream.uniform() }
    #expect(abs(sum_f64(x, n) / Double(n) - 0.5) < 0.005 && x.allSatisfy { $0 >= 0 && $0 < 1 })
    let ones = [Float](repeating: 1, count: n)
    var y = ones
    dropout_f32(&y, ones, 0.1, 1, 4, 0, n)
    #expect(abs(sum_f32(y, n) / Double(n) - 1) < 0.01)
  }

  @Test(arguments: lengths) func gather(n: Int) {
    let theta = values(20, seed: 90), norms = values(20, 0...1, seed: 91), g = values(n, seed: 92)
    var source = KernelSource(state: 93)
    let idx = (0..<n).map { _ in Int32.random(in: 0..<20, using: &source) }
    var (a, b, c) = (g, g, wide(g)), (sA, sB, sC) = (theta, theta, wide(theta))
    gather_scaled_f32(&a, theta, idx, norms, n)
    gather_scaled_ref_f32(&b, theta, idx, norms, n)
    gather_scaled_f64(&c, wide(theta), idx, wide(norms), n)
    agree("gather", tolerance: 1e-7, fast: a, reference: b, double: c)
    scatter_add_f32(&sA, g, idx, n)
    scatter_add_ref_f32(&sB, g, idx, n)
    scatter_add_f64(&sC, wide(g), idx, n)
    agree("scatter", tolerance: 3e-6, fast: sA, reference: sB, double: sC)
  }
}
