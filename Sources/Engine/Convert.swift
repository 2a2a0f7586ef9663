import CKernels

/// Between the formats weights are stored in and those products read.
enum Convert {
  static func widen(_ source: UnsafeRawPointer, _ type: WeightType, into y: Tensor) {
    Threads.split(y.count, cost: 1) { r in
      let from = source + r.lowerBound * type.byteCount
      let half = from.assumingMemoryBound(to: UInt16.self)
      let n = r.count
      switch (type, y.scalar) {
      case (.float32, .float32), (.float64, .float64):
        y.address(r.lowerBound).copyMemory(from: from, byteCount: n * type.byteCount)
      case (.bfloat16, .float32): bf16_to_f32(y.f32 + r.lowerBound, half, n)
      case (.float16, .float32): f16_to_f32(y.f32 + r.lowerBound, half, n)
      case (.bfloat16, .float64): bf16_to_f64(y.f64 + r.lowerBound, half, n)
      case (.float16, .float64): f16_to_f64(y.f64 + r.lowerBound, half, n)
      case (.float32, .float64): f32_to_f64(y.f64 + r.lowerBound, from.assumingMemoryBound(to: Float.self), n)
      case (.float64, .float32): f64_to_f32(y.f32 + r.lowerBound, from.assumingMemoryBound(to: Double.self), n)
      }
    }
  }
}

/// Matrix-vector products of one row, as generation makes them: they read the weight once, at memory speed.
enum Vector {
  /// y = W·x for one row x of floats; false where the weight's storage does not allow it.
  static func apply(_ weight: FrozenMatrix, _ x: Tensor, into y: Tensor) -> Bool {
    guard !weight.hasColumnLines else { return false }
    switch weight.content {
    case .numbers(.float64, _): return false
    case .numbers(let type, let storage): apply(storage.address, type, weight, x, into: y)
    case .codes(let codes): apply(codes, x, into: y)
    }
    return true
  }

  private static func apply(
    _ start: UnsafeMutableRawPointer, _ type: WeightType, _ weight: FrozenMatrix, _ x: Tensor, into y: Tensor
  ) {
    let columns = weight.columns
    Threads.split(weight.rows, cost: columns) { r in
      switch type {
      case .float32:
        gemv_f32(y.f32, start.assumingMemoryBound(to: Float.self), x.f32, r.lowerBound, r.upperBound, columns)
      case .bfloat16:
        gemv_bf16(y.f32, start.assumingMemoryBound(to: UInt16.self), x.f32, r.lowerBound, r.upperBound, columns)
      case .float16:
        gemv_f16(y.f32, start.assumingMemoryBound(to: UInt16.self), x.f32, r.lowerBound, r.upperBound, columns)
      case .float64: break
      }
    }
  }

  /// A few rows at a time, which stay in the cache between decoding and product.
  private static func apply(_ codes: WeightCodes, _ x: Tensor, into y: Tensor) {
    let columns = codes.columns
    Threads.split(codes.rows, cost: 2 * columns) { r in
      let rows = Tensor(uninitialized: [16, columns], .float32)
      for start in stride(from: r.lowerBound, to: r.upperBound, by: 16) {
        let count = min(16, r.upperBound - start)
        codes.decode(start..<start + count, into: rows)
        gemv_f32(y.f32 + start, rows.f32, x.f32, 0, count, columns)
      }
    }
  }
}

extension Tensor {
  /// The elements rounded (to nearest even) to a half-precision format, as bytes.
  public func halves(_ type: WeightType) -> [UInt16] {
    let x = converted(to: .float32)
    return [UInt16](unsafeUninitializedCapacity: count) { buffer, filled in
      filled = count
      if type == .bfloat16 { f32_to_bf16(buffer.baseAddress, x.f32, count) } else { f32_to_f16(buffer.baseAddress, x.f32, count) }
    }
  }
}
