import CKernels

/// Matrix-vector products of one row, as generation makes them: they read the weight once, at memory speed.
enum Vector {
  /// Bytes of a weight that a core takes at a time: long enough to be read as a stream, short enough that no core waits for another.
  private static let portion = 1 << 18

  /// y = W·x for one row x of floats; false where the weight's storage does not allow it.
  static func apply(_ weight: FrozenMatrix, _ x: Tensor, into y: Tensor) -> Bool {
    switch weight.content {
    case .numbers(.float64, _): return false
    case .numbers(let type, let storage):
      let start = UnsafeRawPointer(storage.address)
      if weight.hasColumnLines { applyLines(start, type, weight, x, into: y) } else { apply(start, type, weight, x, into: y) }
    case .codes(.grid(let codes)) where codes.groupSize % 16 == 0: apply(codes, x, into: y)
    case .codes(.normalFloat(let codes)) where codes.blockSize % 16 == 0 && codes.columns % codes.blockSize == 0:
      apply(codes, x, into: y)
    case .codes(let codes): apply(codes, x, into: y)
    }
    return true
  }

  /// Calls `body` with ranges of rows, handing them out to the cores. No sum depends on where the cuts are.
  private static func share(_ rows: Int, bytes: Int, _ body: (Range<Int>) -> Void) {
    // As many for each core, so that all are done at once where all are as fast.
    let rounds = max(1, rows * bytes / portion / Threads.count)
    let height = (rows + 8 * rounds * Threads.count - 1) / (8 * rounds * Threads.count) * 8
    Threads.each((rows + height - 1) / height, width: rows * bytes > portion / 4 ? Threads.count : 1) { part in
      body(part * height..<min(rows, (part + 1) * height))
    }
  }

  private static func apply(_ start: UnsafeRawPointer, _ type: WeightType, _ weight: FrozenMatrix, _ x: Tensor, into y: Tensor) {
    let columns = weight.columns
    share(weight.rows, bytes: columns * type.byteCount) { r in
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

  /// Of a weight stored by lines of inputs every core takes some outputs of every line.
  private static func applyLines(
    _ start: UnsafeRawPointer, _ type: WeightType, _ weight: FrozenMatrix, _ x: Tensor, into y: Tensor
  ) {
    let (lines, stride) = (weight.columns, weight.rows)
    Threads.split(stride, cost: lines) { r in
      let (from, to) = (r.lowerBound, r.upperBound)
      switch type {
      case .float32: gemv_lines_f32(y.f32, start.assumingMemoryBound(to: Float.self), x.f32, from, to, lines, stride)
      case .bfloat16: gemv_lines_bf16(y.f32, start.assumingMemoryBound(to: UInt16.self), x.f32, from, to, lines, stride)
      case .float16: gemv_lines_f16(y.f32, start.assumingMemoryBound(to: UInt16.self), x.f32, from, to, lines, stride)
      case .float64: break
      }
    }
  }

  private static func apply(_ codes: GridCodes, _ x: Tensor, into y: Tensor) {
    let (packed, scales, zeros) = (
      codes.packed.pointer(to: UInt32.self), codes.scales.pointer(to: Float.self), codes.zeros.pointer(to: UInt8.self)
    )
    // Decoding takes as long as reading floats would.
    share(codes.rows, bytes: 4 * codes.columns) { r in
      gemv_grid_f32(
        y.f32, packed, scales, zeros, x.f32, codes.bits, codes.groupSize, r.lowerBound, r.upperBound, codes.words, codes.columns)
    }
  }

  private static func apply(_ codes: NormalFloatCodes, _ x: Tensor, into y: Tensor) {
    let (columns, blocks) = (codes.columns, codes.columns / codes.blockSize)
    let packed = codes.packed.pointer(to: UInt8.self)
    share(codes.rows, bytes: 8 * columns) { r in
      let peaks = codes.peaks(r.lowerBound * blocks..<r.upperBound * blocks).map { Float($0) }
      gemv_nibbles_f32(
        y.f32, packed, NormalFloatCodes.book, peaks, x.f32, codes.blockSize, r.lowerBound, r.upperBound, columns)
    }
  }

  /// For groups and blocks that end anywhere. A few rows at a time, which stay in the cache between decoding and product.
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
