import CKernels
import Foundation
import Testing

@Suite struct RowKernels {
  @Test(arguments: [1, 4], [1, 15, 16, 17, 33, 100]) func norms(t: Int, d: Int) {
    let x = values(t * d, seed: 20), w = values(d, seed: 21), bias = values(d, seed: 22), dy = values(t * d, seed: 23)
    let base = values(t * d, seed: 24), eps: Float = 1e-3
    var (yA, yB, yC) = (x, x, wide(x))
    let none = [Float](repeating: 0, count: t)
    var (rA, rB, rC) = (none, none, wide(none))
    rmsnorm_f32(&yA, &rA, x, w, eps, t, d)
    rmsnorm_ref_f32(&yB, &rB, x, w, eps, t, d)
    rmsnorm_f64(&yC, &rC, wide(x), wide(w), Double(eps), t, d)
    agree("rmsnorm", tolerance: 2e-6, fast: yA, reference: yB, double: yC)
    agree("inv_rms", tolerance: 2e-6, fast: rA, reference: rB, double: rC)
    for accumulate: Int32 in [0, 1] {
      (yA, yB, yC) = (base, base, wide(base))
      rmsnorm_backward_f32(&yA, accumulate, x, w, rA, dy, t, d)
      rmsnorm_backward_ref_f32(&yB, accumulate, x, w, rB, dy, t, d)
      rmsnorm_backward_f64(&yC, accumulate, wide(x), wide(w), rC, wide(dy), t, d)
      agree("rmsnorm dx", tolerance: 1e-5, fast: yA, reference: yB, double: yC)
    }
    var (wA, wB, wC) = (w, w, wide(w)), (bA, bB, bC) = (w, w, wide(w))
    rmsnorm_weight_grad_acc_f32(&wA, x, rA, dy, t, d)
    rmsnorm_weight_grad_acc_ref_f32(&wB, x, rB, dy, t, d)
    rmsnorm_weight_grad_acc_f64(&wC, wide(x), rC, wide(dy), t, d)
    agree("rmsnorm dw", tolerance: 3e-6, fast: wA, reference: wB, double: wC)

    var (mA, mB, mC) = (rA, rB, rC)
    for b in [bias, nil] {
      layernorm_f32(&yA, &mA, &rA, x, w, b, eps, t, d)
      layernorm_ref_f32(&yB, &mB, &rB, x, w, b, eps, t, d)
      layernorm_f64(&yC, &mC, &rC, wide(x), wide(w), b.map(wide), Double(eps), t, d)
      agree("layernorm", tolerance: 3e-6, fast: yA, reference: yB, double: yC)
    }
    for accumulate: Int32 in [0, 1] {
      (yA, yB, yC) = (base, base, wide(base))
      layernorm_backward_f32(&yA, accumulate, x, w, mA, rA, dy, t, d)
      layernorm_backward_ref_f32(&yB, accumulate, x, w, mB, rB, dy, t, d)
      layernorm_backward_f64(&yC, accumulate, wide(x), wide(w), mC, rC, wide(dy), t, d)
      // One column: the exact gradient is 0 and 1/std is 30, which magnifies the rounding of dy w.
      agree("layernorm dx", tolerance: d == 1 ? 1e-4 : 1e-5, fast: yA, reference: yB, double: yC)
    }
    (wA, wB, wC) = (w, w, wide(w))
    layernorm_weight_grad_acc_f32(&wA, &bA, x, mA, rA, dy, t, d)
    layernorm_weight_grad_acc_ref_f32(&wB, &bB, x, mB, rB, dy, t, d)
    layernorm_weight_grad_acc_f64(&wC, &bC, wide(x), mC, rC, wide(dy), t, d)
    agree("layernorm dw", tolerance: 5e-6, fast: wA, reference: wB, double: wC)
    agree("layernorm db", tolerance: 3e-6, fast: bA, reference: bB, double: bC)
  }

  @Test(arguments: [2, 4, 6, 8, 20], [1, 2, 15, 16, 17, 40, 300]) func wavelets(taps: Int, half: Int) {
    let t = 3, between = 2 * half + 5
    let h = values(taps, seed: 40), bands = values(t * between, seed: 41)
    for cols in [2 * half, 2 * half - 1] {
      let x = values(t * (cols + 1), seed: 42)
      for accumulate: Int32 in [0, 1] {
        var (a, b, c) = (x, x, wide(x))
        bands.withUnsafeBufferPointer { p in
          wavelet_join_f32(&a, accumulate, p.baseAddress, p.baseAddress! + half, h, taps, t, half, cols, cols + 1, between)
          wavelet_join_ref_f32(&b, accumulate, p.baseAddress, p.baseAddress! + half, h, taps, t, half, cols, cols + 1, between)
        }
        wide(bands).withUnsafeBufferPointer { p in
          wavelet_join_f64(&c, accumulate, p.baseAddress, p.baseAddress! + half, wide(h), taps, t, half, cols, cols + 1, between)
        }
        agree("wavelet_join", tolerance: 3e-6, fast: a, reference: b, double: c)
      }
      var (a, b, c) = (bands, bands, wide(bands))
      a.withUnsafeMutableBufferPointer { p in
        wavelet_split_f32(p.baseAddress, p.baseAddress! + half, x, h, taps, t, half, cols, between, cols + 1)
      }
      b.withUnsafeMutableBufferPointer { p in
        wavelet_split_ref_f32(p.baseAddress, p.baseAddress! + half, x, h, taps, t, half, cols, between, cols + 1)
      }
      c.withUnsafeMutableBufferPointer { p in
        wavelet_split_f64(p.baseAddress, p.baseAddress! + half, wide(x), wide(h), taps, t, half, cols, between, cols + 1)
      }
      agree("wavelet_split", tolerance: 3e-6, fast: a, reference: b, double: c)
    }
  }

  @Test(arguments: [1, 5], [1, 15, 16, 17, 40]) func slices(m: Int, width: Int) {
    let t = 3
    var weights = values(t * m, seed: 30)
    weights[t * m / 2] = 0
    let v = values(t * m * width, seed: 31), y = values(t * width, seed: 32)
    var (a, b, c) = (y, y, wide(y))
    slice_sum_f32(&a, v, weights, t, m, width)
    slice_sum_ref_f32(&b, v, weights, t, m, width)
    slice_sum_f64(&c, wide(v), wide(weights), t, m, width)
    agree("slice sum", tolerance: 3e-6, fast: a, reference: b, double: c)
    (a, b, c) = (v, v, wide(v))
    slice_spread_f32(&a, y, weights, t, m, width)
    slice_spread_ref_f32(&b, y, weights, t, m, width)
    slice_spread_f64(&c, wide(y), wide(weights), t, m, width)
    agree("slice spread", tolerance: 1e-6, fast: a, reference: b, double: c)
    (a, b, c) = (weights, weights, wide(weights))
    slice_dot_f32(&a, v, y, t, m, width)
    slice_dot_ref_f32(&b, v, y, t, m, width)
    slice_dot_f64(&c, wide(v), wide(y), t, m, width)
    agree("slice dot", tolerance: 1e-5, fast: a, reference: b, double: c)
  }

  /// The gradient of sum(dy y) by central differences in double.
  @Test(arguments: [5, 33]) func normGradients(d: Int) {
    let x = wide(values(d, seed: 25)), w = wide(values(d, seed: 26)), dy = wide(values(d, seed: 27)), h = 1e-6
    func rms(_ x: [Double]) -> Double {
      var (y, r) = (x, [0.0])
      rmsnorm_f64(&y, &r, x, w, 1e-5, 1, d)
      return zip(y, dy).reduce(0) { $0 + $1.0 * $1.1 }
    }
    func layer(_ x: [Double]) -> Double {
      var (y, m, r) = (x, [0.0], [0.0])
      layernorm_f64(&y, &m, &r, x, w, nil, 1e-5, 1, d)
      return zip(y, dy).reduce(0) { $0 + $1.0 * $1.1 }
    }
    var (y, m, r, dx) = (x, [0.0], [0.0], x)
    for isRMS in [true, false] {
      if isRMS {
        rmsnorm_f64(&y, &r, x, w, 1e-5, 1, d)
        rmsnorm_backward_f64(&dx, 0, x, w, r, dy, 1, d)
      } else {
        layernorm_f64(&y, &m, &r, x, w, nil, 1e-5, 1, d)
        layernorm_backward_f64(&dx, 0, x, w, m, r, dy, 1, d)
      }
      for i in 0..<d {
        var (up, down) = (x, x)
        up[i] += h
        down[i] -= h
        let slope = isRMS ? (rms(up) - rms(down)) / (2 * h) : (layer(up) - layer(down)) / (2 * h)
        #expect(abs(slope - dx[i]) < 1e-7)
      }
    }
  }

  @Test(arguments: [1, 15, 16, 17, 33, 100], [false, true]) func softmax(cols: Int, keyed: Bool) {
    let rows = 6, n = rows * cols, s = values(n, -20...20, seed: 30), scale: Float = 0.3, first = cols / 3
    var source = KernelSource(state: 31)
    let lo = (0..<rows).map { _ in Int32.random(in: 0...Int32(cols), using: &source) }
    let hi = lo.map { Int32.random(in: $0...Int32(cols), using: &source) }
    let bytes = keyed ? (0..<cols).map { _ in UInt8.random(in: 0...2, using: &source) } : nil
    let dp = values(n, seed: 32)
    // 0 and 3: of what lies before them queries see all, or the last few.
    for form in 0..<4 {
      var (a, b, c) = (s, s, wide(s)), (dA, dB, dC) = (dp, dp, wide(dp))
      let window = form == 3 ? 1 + cols / 5 : 0
      if form % 3 == 0 {
        softmax_causal_f32(&a, rows, cols, first, window, scale, bytes)
        softmax_causal_ref_f32(&b, rows, cols, first, window, scale, bytes)
        softmax_causal_f64(&c, rows, cols, first, window, Double(scale), bytes)
        softmax_causal_backward_f32(&dA, a, rows, cols, first, window, scale)
        softmax_causal_backward_ref_f32(&dB, b, rows, cols, first, window, scale)
        softmax_causal_backward_f64(&dC, c, rows, cols, first, window, Double(scale))
      } else {
        let (l, h) = form == 1 ? (lo, hi) : (nil, nil)
        softmax_masked_f32(&a, rows, cols, l, h, scale, bytes)
        softmax_masked_ref_f32(&b, rows, cols, l, h, scale, bytes)
        softmax_masked_f64(&c, rows, cols, l, h, Double(scale), bytes)
        softmax_masked_backward_f32(&dA, a, rows, cols, l, h, scale)
        softmax_masked_backward_ref_f32(&dB, b, rows, cols, l, h, scale)
        softmax_masked_backward_f64(&dC, c, rows, cols, l, h, Double(scale))
      }
      agree("softmax \(form)", tolerance: 1e-6, fast: a, reference: b, double: c)
      agree("softmax backward \(form)", tolerance: 1e-6, fast: dA, reference: dB, double: dC)
      for i in 0..<rows {
        let seen = (0..<cols).filter { j in
          let inside =
            switch form {
            case 0: j <= first + i
            case 1: j >= Int(lo[i]) && j < Int(hi[i])
            case 2: true
            default: j <= first + i && j > first + i - window
            }
          return inside && (bytes.map { $0[j] != 0 } ?? true)
        }
        let row = a[i * cols..<(i + 1) * cols]
        #expect(abs(row.reduce(0, +) - (seen.isEmpty ? 0 : 1)) < 1e-5)
        for j in 0..<cols where !seen.contains(j) { #expect(a[i * cols + j] == 0 && dA[i * cols + j] == 0) }
      }
    }
  }

  /// A model that has diverged must not look like one that pays no attention.
  @Test(arguments: [1, 15, 16, 40], [Float.nan, -.infinity]) func softmaxKeepsWhatIsNoNumber(cols: Int, value: Float) {
    let some = [UInt8](repeating: 0, count: cols - 1) + [1], none = [UInt8](repeating: 0, count: cols)
    for (allowed, isNumber) in [(nil, false), (some, false), (none, true)] as [([UInt8]?, Bool)] {
      let s = [Float](repeating: value, count: cols)
      var (a, b, c) = (s, s, wide(s))
      softmax_masked_f32(&a, 1, cols, nil, nil, 1, allowed)
      softmax_masked_ref_f32(&b, 1, cols, nil, nil, 1, allowed)
      softmax_masked_f64(&c, 1, cols, nil, nil, 1, allowed)
      for last in [Double(a[cols - 1]), Double(b[cols - 1]), c[cols - 1]] { #expect(last.isNaN != isNumber) }
    }
  }

  @Test(arguments: [2, 8, 32, 34, 64]) func rope(d: Int) {
    let (t, heads, positions) = (5, 3, [Int32](arrayLiteral: 4, 0, 7, 2, 2)), half = d / 2, stride = heads * d + 7
    let angles = (0..<8 * half).map { Float($0 / half) / Float(pow(100, Double($0 % half) / Double(half))) }
    let c = angles.map { Foundation.cos($0) }, s = angles.map { Foundation.sin($0) }
    let x = values(t * stride, seed: 40)
    let zero = [Float](repeating: 0, count: t * heads * d)
    var (a, b, e) = (zero, zero, wide(zero))
    rope_f32(&a, x, c, s, positions, t, heads, d, 1, stride, heads * d)
    rope_ref_f32(&b, x, c, s, positions, t, heads, d, 1, stride, heads * d)
    rope_f64(&e, wide(x), wide(c), wide(s), positions, t, heads, d, 1, stride, heads * d)
    agree("rope", tolerance: 1e-6, fast: a, reference: b, double: e)
    a.withUnsafeMutableBufferPointer {
      rope_f32($0.baseAddress, $0.baseAddress, c, s, positions, t, heads, d, -1, heads * d, heads * d)
    }
    let original = (0..<t).flatMap { x[$0 * stride..<$0 * stride + heads * d] }
    #expect(error(a, wide(original)) < 1e-6)
  }

  @Test(arguments: [1, 15, 16, 17, 33, 100, 5000]) func crossEntropy(v: Int) {
    let rows = 5, x = values(rows * v, -10...10, seed: 50), scale: Float = 0.25
    var labels = (0..<rows).map { Int32(($0 * 7919) % v) }
    labels[2] = -100
    var (a, b, c) = (x, x, wide(x)), (lA, lB, lC) = (1.0, 1.0, 1.0), (nA, nB, nC): (Int32, Int32, Int32) = (2, 2, 2)
    let nine = [Double](repeating: 9, count: rows)
    var (rA, rB, rC) = (nine, nine, nine)
    cross_entropy_rows_f32(&rA, x, labels, rows, v)
    cross_entropy_rows_ref_f32(&rB, x, labels, rows, v)
    cross_entropy_rows_f64(&rC, wide(x), labels, rows, v)
    cross_entropy_f32(&a, labels, rows, v, scale, &lA, &nA)
    cross_entropy_ref_f32(&b, labels, rows, v, scale, &lB, &nB)
    cross_entropy_f64(&c, labels, rows, v, Double(scale), &lC, &nC)
    agree("dlogits", tolerance: 1e-6, fast: a, reference: b, double: c)
    #expect(nA == 6 && nB == 6 && nC == 6)
    #expect(abs(lA - lC) / lC < 1e-6 && abs(lB - lC) / lC < 1e-5)
    #expect(error(rA, rC) < 1e-6 && error(rB, rC) < 1e-5 && rA[2] == 0)
    #expect(abs(rC.reduce(1, +) - lC) < 1e-9)
    var exact = 0.0
    for t in 0..<rows where labels[t] >= 0 {
      let row = wide(Array(x[t * v..<(t + 1) * v]))
      exact += Foundation.log(row.map { Foundation.exp($0) }.reduce(0, +)) - row[Int(labels[t])]
    }
    #expect(abs(exact + 1 - lC) < 1e-9)
    labels[0] = Int32(v)
    a = x
    cross_entropy_f32(&a, labels, rows, v, scale, &lA, &nA)
    #expect(lA.isNaN)
  }
}
