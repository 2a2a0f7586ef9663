import Blocks
import Engine
import Synchronization

/// The places of drawn numbers in S by what they follow from, each made when it is first asked for: sites of one shape have the same.
final class MadePlaces: Sendable {
  struct Key: Hashable {
    var rows: Axis
    var columns: Axis
    var count: Int
    var seed: UInt64
  }

  struct List {
    /// In row-major order of the bands.
    var places: SparsePlaces
    /// Number of the draw that stands at each.
    var order: [Int32]
  }

  private let made = Mutex<[Key: List]>([:])

  subscript(key: Key) -> List {
    made.withLock { made in
      if let list = made[key] { return list }
      let list = List(key)
      made[key] = list
      return list
    }
  }
}

extension MadePlaces.List {
  /// The half of S that a number stands in by its column says which filter its row has, and the other way about: PEFT hands the top
  /// right quarter over as what is high along rows' index.
  init(_ key: MadePlaces.Key) {
    let (rows, columns) = (key.rows, key.columns)
    var random = TorchRandom(seed: key.seed)
    let drawn = random.permutation(key.count, of: rows.length * columns.length)
    let all = drawn.enumerated().map { number, place -> (row: Int, column: Int, number: Int32) in
      let (row, column) = (rows.place(place / columns.length), columns.place(place % columns.length))
      return (
        rows.coefficient(isHigh: column.isHigh, row.number), columns.coefficient(isHigh: row.isHigh, column.number),
        Int32(number)
      )
    }.sorted { ($0.row, $0.column) < ($1.row, $1.column) }
    let index = Tensor(all.map { Float($0.row) } + all.map { Float($0.column) }, shape: [2, all.count])
    guard let places = SparsePlaces(index, outputs: rows.padded, inputs: columns.padded) else {
      preconditionFailure("coefficients of a transform are not in order")
    }
    self.init(places: places, order: all.map(\.number))
  }
}
