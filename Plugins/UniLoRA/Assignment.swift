import Engine
import PEFTKernel
import Synchronization

/// What draws the index list.
public enum IndexGenerator: String, Sendable, CaseIterable {
  /// This project's counter-based generator, on a stream of the seed and the list of sites.
  case philox
  /// NumPy's `default_rng`, as PEFT uses it: for files that come from there.
  case numpy
}

/// Which entry of θ_d every factor entry of the model copies: drawn at first use, then kept.
final class Assignment: Sendable {
  /// D.
  let positions: Int
  /// d.
  let length: Int
  /// Everything the list depends on.
  let name: String
  private let generator: IndexGenerator
  private let seed: UInt64
  private let stream: Philox
  private let drawn = Mutex<[Int32]?>(nil)

  init(positions: Int, length: Int, generator: IndexGenerator, seed: UInt64, sites: [Site]) {
    self.positions = positions
    self.length = length
    self.generator = generator
    self.seed = seed
    stream = Self.stream(seed, sites)
    name = "uni-lora index \(generator.rawValue) \(seed) \(stream.key) \(length) \(positions)"
  }

  /// What everything is drawn from that belongs to this seed and these sites in this order.
  static func stream(_ seed: UInt64, _ sites: [Site]) -> Philox {
    sites.reduce(Philox(key: seed).stream("uni-lora")) {
      $0.stream($1.id.path).stream(UInt64($1.outputs)).stream(UInt64($1.inputs))
    }
  }

  /// The list [D].
  var index: [Int32] {
    drawn.withLock { drawn in
      if let drawn { return drawn }
      let list: [Int32]
      switch generator {
      case .philox:
        var source = PhiloxShuffle(source: stream)
        list = Self.balanced(positions, length, &source)
      case .numpy:
        var source = NumPyRandom(seed: seed)
        list = Self.balanced(positions, length, &source)
      }
      drawn = list
      return list
    }
  }

  /// Every one of 0..<length as often as every other, but for the rest of the division, in random order.
  static func balanced(_ positions: Int, _ length: Int, _ source: inout some Shuffling) -> [Int32] {
    var list: [Int32] = []
    list.reserveCapacity(positions)
    for j in 0..<Int32(length) { list += repeatElement(j, count: positions / length) }
    list += source.choice(positions % length, of: length)
    source.shuffle(&list)
    return list
  }

  /// n_j.
  static func counts(_ index: [Int32], length: Int) -> [Int] {
    var counts = [Int](repeating: 0, count: length)
    for j in index { counts[Int(j)] += 1 }
    return counts
  }

  /// 1/√n_j, 0 where n_j = 0.
  static func norms(_ index: [Int32], length: Int) -> Tensor {
    Tensor(counts(index, length: length).map { $0 == 0 ? 0 : 1 / Double($0).squareRoot() }, .float64)
  }
}

/// The two draws that make an index list.
protocol Shuffling {
  /// `count` different numbers below `population`.
  mutating func choice(_ count: Int, of population: Int) -> [Int32]
  mutating func shuffle(_ list: inout [Int32])
}

struct PhiloxShuffle: Shuffling {
  var source: Philox

  mutating func choice(_ count: Int, of population: Int) -> [Int32] {
    var all = Array(0..<Int32(population))
    for i in 0..<count { all.swapAt(i, i + integer(below: population - i)) }
    return Array(all[..<count])
  }

  mutating func shuffle(_ list: inout [Int32]) {
    for i in stride(from: list.count - 1, to: 0, by: -1) { list.swapAt(i, integer(below: i + 1)) }
  }

  /// The high word of a product: written out because files depend on it, and the standard library's way may change.
  private mutating func integer(below bound: Int) -> Int { Int(source.next().multipliedFullWidth(by: UInt64(bound)).high) }
}
