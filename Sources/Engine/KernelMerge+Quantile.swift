import CKernels
import Synchronization

extension KernelMerge {
  /// The quantile of |D| at `share` (0…1) over all its entries, interpolated: with the magnitudes in order,
  /// v₀ ≤ … ≤ v_{N−1}, and u = share·(N − 1), that is v_⌊u⌋ + (u − ⌊u⌋)·(v_⌊u⌋₊₁ − v_⌊u⌋).
  ///
  /// Found by counting: each sweep over D, made anew by tile, decides 16 bits of v_⌊u⌋. Nothing is sorted, and no more
  /// than a few rows of D are ever there.
  public func quantile(_ share: Double) -> Double {
    let sweep = Sweep(MergeTiles.Points(a: a, b: b, scale: scale))
    let place = share * Double(outputs * inputs - 1)
    var rank = Int(place)
    var bits: UInt64 = 0
    var equals = 0
    var shift = a.scalar == .float32 ? 31 : 63
    while shift > 0 {
      let width = min(16, shift)
      shift -= width
      let counts = sweep.counts(shift, width, bits)
      var digit = 0
      while digit < counts.count - 1, rank >= Int(counts[digit]) {
        rank -= Int(counts[digit])
        digit += 1
      }
      equals = Int(counts[digit])
      bits = bits << UInt64(width) | UInt64(digit)
    }
    let value = a.scalar == .float32 ? Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits))) : Double(bitPattern: bits)
    let rest = place - place.rounded(.down)
    guard rest > 0, rank + 1 >= equals else { return value }
    return value + rest * (sweep.next(above: value) - value)
  }
}

/// Passes over all entries of D, a few rows at a time on every core.
private struct Sweep {
  private let points: MergeTiles.Points

  init(_ points: MergeTiles.Points) { self.points = points }

  /// How many entries have which `width` bits from `shift` on, among those whose higher bits are `prefix`.
  func counts(_ shift: Int, _ width: Int, _ prefix: UInt64) -> [UInt32] {
    let total = Mutex([UInt32](repeating: 0, count: 1 << width))
    each { tiles in
      var own = [UInt32](repeating: 0, count: 1 << width)
      tiles { tile in
        switch tile.scalar {
        case .float32: magnitude_counts_f32(&own, tile.f32, tile.count, UInt32(shift), UInt32(width), prefix)
        case .float64: magnitude_counts_f64(&own, tile.f64, tile.count, UInt32(shift), UInt32(width), prefix)
        }
      }
      total.withLock { total in for digit in own.indices { total[digit] += own[digit] } }
    }
    return total.withLock { $0 }
  }

  /// The smallest magnitude above `value`.
  func next(above value: Double) -> Double {
    let least = Mutex(Double.infinity)
    each { tiles in
      var own = Double.infinity
      tiles { tile in
        switch tile.scalar {
        case .float32: own = min(own, Double(magnitude_above_f32(tile.f32, tile.count, Float(value))))
        case .float64: own = min(own, magnitude_above_f64(tile.f64, tile.count, value))
        }
      }
      least.withLock { $0 = min($0, own) }
    }
    return least.withLock { $0 }
  }

  /// Calls `body` once on every core at work, with a walk over that core's share of the tiles.
  private func each(_ body: (_ walk: ((Tensor) -> Void) -> Void) -> Void) {
    let (inputs, height) = (points.inputs, max(1, (1 << 15) / points.inputs))
    Threads.split(points.outputs, cost: inputs * (points.q + 4) / 2) { part in
      body { visit in
        for start in stride(from: part.lowerBound, to: part.upperBound, by: height) {
          let rows = start..<min(part.upperBound, start + height)
          let tile = Tensor(uninitialized: [rows.count, inputs], points.a.scalar)
          points.write(rows, to: tile)
          visit(tile)
        }
      }
    }
  }
}
