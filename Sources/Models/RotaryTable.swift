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
    /// [places, width/2].
    var cosine: Tensor
    var sine: Tensor
    /// Where the angles of each row of a pass stand.
    var places: [Int32]
  }

  private struct Key: Hashable {
    var extent: Int
    var scalar: ScalarType
  }

  private typealias Table = (cosine: Tensor, sine: Tensor)

  private let settings: RotarySettings
  private let tables = Mutex<[Key: Table]>([:])

  init(_ settings: RotarySettings) { self.settings = settings }

  /// The angles of sequences that go on after `start` positions. The lengths that they then have decide, sequence by sequence,
  /// where settings make them turn differently: what lies beside a sequence in a pass does not matter.
  func angles(_ rows: RowLayout, after start: Int = 0, _ scalar: ScalarType) -> Angles {
    var parts: [(extent: Int, count: Int)] = []
    let extents = rows.sequences.map { settings.extent(of: start + $0.count) }
    for (extent, sequence) in zip(extents, rows.sequences) {
      if let i = parts.firstIndex(where: { $0.extent == extent }) {
        parts[i].count = max(parts[i].count, start + sequence.count)
      } else {
        parts.append((extent, start + sequence.count))
      }
    }
    if parts.isEmpty { parts = [(settings.extent(of: start), start)] }
    let tables = parts.map { table($0.extent, positions: $0.count, scalar) }
    guard tables.count > 1 else {
      return Angles(cosine: tables[0].cosine, sine: tables[0].sine, places: rows.positions.map { $0 + Int32(start) })
    }
    var (first, firsts): (Int, [Int: Int]) = (0, [:])
    for (part, table) in zip(parts, tables) {
      firsts[part.extent] = first
      first += table.cosine.rows
    }
    var places: [Int32] = []
    for (extent, sequence) in zip(extents, rows.sequences) {
      let first = Int32(start + (firsts[extent] ?? 0))
      places += sequence.indices.map { rows.positions[$0] + first }
    }
    return Angles(
      cosine: Tensor.joinedRows(tables.map(\.cosine)), sine: Tensor.joinedRows(tables.map(\.sine)), places: places)
  }

  /// A table of at least `positions` rows.
  private func table(_ extent: Int, positions: Int, _ scalar: ScalarType) -> Table {
    tables.withLock { tables in
      let key = Key(extent: extent, scalar: scalar)
      if let found = tables[key], found.cosine.rows >= positions { return found }
      var rows = 256
      while rows < positions { rows *= 2 }
      let frequencies = settings.frequencies(extent: extent)
      let angles = (0..<rows).flatMap { position in frequencies.map { Double(position) * $0 } }
      let shape = [rows, frequencies.count]
      func tensor(_ f: (Double) -> Double) -> Tensor {
        Tensor(angles.map { settings.amplitude * f($0) }, shape: shape, scalar)
      }
      // Where every length has a table of its own, only the last ones stay.
      if tables.count >= 8 { tables = [:] }
      let made = (tensor { cos($0) }, tensor { sin($0) })
      tables[key] = made
      return made
    }
  }
}
