import Engine
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Cosines and sines by position, computed in double, for as many positions as were asked for so far: the tables of a
/// long context would cost a short one time and memory.
final class RotaryTable: Sendable {
  struct Angles: Sendable {
    /// [positions, width/2].
    var cosine: Tensor
    var sine: Tensor
  }

  private let frequencies: [Double]
  private let tables = Mutex<[ScalarType: Angles]>([:])

  init(_ settings: RotarySettings) { frequencies = settings.frequencies }

  /// Tables of at least `positions` rows.
  func angles(_ positions: Int, _ scalar: ScalarType) -> Angles {
    tables.withLock { tables in
      if let found = tables[scalar], found.cosine.rows >= positions { return found }
      var rows = 256
      while rows < positions { rows *= 2 }
      let angles = (0..<rows).flatMap { position in frequencies.map { Double(position) * $0 } }
      let shape = [rows, frequencies.count]
      let made = Angles(
        cosine: Tensor(angles.map { cos($0) }, shape: shape, scalar), sine: Tensor(angles.map { sin($0) }, shape: shape, scalar))
      tables[scalar] = made
      return made
    }
  }
}
