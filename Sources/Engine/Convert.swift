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

extension WeightType {
  /// The nearest number of this type.
  public func rounded(_ value: Double) -> Double {
    switch self {
    case .float64: return value
    case .float32: return Double(Float(value))
    case .bfloat16, .float16:
      let bits = Tensor([value]).halves(self)
      let y = Tensor(uninitialized: [1], .float64)
      bits.withUnsafeBytes { Convert.widen($0.baseAddress!, self, into: y) }
      return y.item
    }
  }
}
