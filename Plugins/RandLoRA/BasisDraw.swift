import Blocks
import PEFTKernel

/// A [r, 1, m_max] and B [M_max, N_max, r] as PEFT draws them, one after the other from one generator, each divided by its standard
/// deviation.
///
/// PEFT draws and divides dense bases in bfloat16 wherever there is one, and so does this.
struct BasisDraw: Sendable {
  let rank: Int
  /// m_max and M_max.
  let side: Int
  let length: Int
  /// N_max.
  let count: Int
  let kind: RandomBases.Kind
  let seed: UInt64

  var downShape: [Int] { [rank, 1, side] }
  var upShape: [Int] { [length, count, rank] }
  private var name: String { "randlora \(seed) \(rank) \(side) \(length) \(kind)" }

  var down: Computation {
    Computation("\(name) A") {
      var random = TorchRandom(seed: seed)
      let draws = random.uniform(rank * side, in: range(fan: side), precision)
      return scaled(draws)
    }
  }

  var up: Computation {
    Computation("\(name) B") {
      var random = TorchRandom(seed: seed)
      random.skip(rank * side)
      guard kind == .dense else { return scaled(random.uniform(length * count * rank, in: range(fan: rank), precision)) }
      // One basis after the other, each [M_max, 1, r], then side by side.
      var all = [Float](repeating: 0, count: length * count * rank)
      for basis in 0..<count {
        let draws = random.uniform(length * rank, in: range(fan: rank), precision)
        for (place, value) in draws.enumerated() { all[(place / rank * count + basis) * rank + place % rank] = value }
      }
      return scaled(all)
    }
  }

  private var precision: TorchRandom.Precision { kind == .dense ? .bfloat16 : .float32 }

  /// Dense: Kaiming's bound with a = √5.
  private func range(fan: Int) -> Range<Double> {
    guard kind == .dense else { return 0..<1 }
    let slope = 5.0.squareRoot()
    let bound = 3.0.squareRoot() * ((2 / (1 + slope * slope)).squareRoot() / Double(fan).squareRoot())
    return -bound..<bound
  }

  /// Made −1, 0 and 1 where that is the kind; then over the sample's standard deviation.
  private func scaled(_ draws: [Float]) -> [Float] {
    var values = draws
    if kind != .dense {
      let share = 1 / (2 * (kind == .sparse ? 3 : Double(side).squareRoot()))
      let (low, high) = (Float(share), Float(1 - share))
      values = draws.map { $0 < low ? -1 : $0 > high ? 1 : 0 }
    }
    let mean = values.reduce(0) { $0 + Double($1) } / Double(values.count)
    let squares = values.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) }
    let deviation = Float((squares / Double(values.count - 1)).squareRoot())
    guard kind == .dense else { return values.map { $0 / deviation } }
    let rounded = deviation.asBFloat16
    return values.map { ($0 / rounded).asBFloat16 }
  }
}
