import Engine
import PEFTKernel

/// Where the entries of one factor stand in θ_D.
struct FactorPlace {
  /// "A" or "B" of a site.
  let key: TensorKey
  let shape: [Int]
  let range: Range<Int>
  /// The stored tensor that says so.
  let source: TensorKey

  /// Indices into θ_d, in the factor's own shape.
  static let indexA = "unilora_indices_A"
  static let indexB = "unilora_indices_B"
  /// [3]: which of the factors it is in θ_D, counted from 0, and its rows and columns.
  static let placeA = "unilora_place_A"
  static let placeB = "unilora_place_B"

  /// Every factor that `stored` speaks of, in the order of θ_D: as its places say, or where there are indices, whose order does not
  /// matter to what they mean, by name, so that sums over them are the same in every run.
  static func all(in stored: Tensors) -> [FactorPlace] {
    let keys = stored.values.keys.filter { [indexA, indexB, placeA, placeB].contains($0.name) }
    let found = keys.map { key -> (key: TensorKey, order: Int, shape: [Int]) in
      guard [placeA, placeB].contains(key.name) else { return (key, 0, stored[key].shape) }
      let place = stored[key].values.map { Int(exactly: $0) ?? 0 }
      return (key, place[0], Array(place[1...]))
    }
    var start = 0
    return found.sorted { ($0.order, $0.key.description) < ($1.order, $1.key.description) }.map { key, _, shape in
      let range = start..<start + shape[0] * shape[1]
      start = range.upperBound
      let name = [indexA, placeA].contains(key.name) ? "A" : "B"
      return FactorPlace(key: TensorKey(name, key.scope), shape: shape, range: range, source: key)
    }
  }

  /// Refuses places that `all` could not read: each of 0..<n is to stand once, with a shape.
  static func check(_ stored: Tensors) throws(Refusal) {
    let keys = stored.values.keys.filter { [placeA, placeB].contains($0.name) }
    var orders: Set<Int> = []
    for key in keys.sorted(by: { $0.description < $1.description }) {
      let place = stored[key].values.map { Int(exactly: $0) ?? -1 }
      guard place.count == 3, (0..<keys.count).contains(place[0]), orders.insert(place[0]).inserted,
        place[1...].allSatisfy({ (1...Int(Int32.max)).contains($0) }), place[1] * place[2] <= Int(Int32.max)
      else {
        throw Refusal("\(key) holds \(stored[key].values), which is no place in a row of \(keys.count) factors")
      }
    }
  }
}
