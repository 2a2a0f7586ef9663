#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// How fast the pairs of a head turn with the position, as `modeling_rope_utils.py` of transformers computes it.
struct RotarySettings: Sendable, Hashable {
  enum Scaling: Sendable, Hashable {
    case none
    /// All frequencies divided by `factor`.
    case linear(factor: Double)
    /// The fastest `share` of the pairs turn, `factor` times slower, the others stand still.
    case proportional(factor: Double, share: Double)
    /// Llama 3.1: low frequencies divided by `factor`, high ones kept, those between interpolated.
    case llama3(factor: Double, low: Double, high: Double, original: Double)
    /// Sequences of more than `original` positions turn slower, the slower pairs more so: the base grows with the length (NTK).
    case dynamic(factor: Double, original: Int)
    /// YaRN: pairs that turn more than `fast` times within the original context keep their frequency, those that turn less than
    /// `slow` times have it divided by `factor`, those between go over from one to the other.
    case yarn(factor: Double, fast: Double, slow: Double, original: Double, isRounded: Bool)
    /// Every pair has a divisor of its own, one for sequences up to the original context, one for longer ones.
    case longrope(short: [Double], long: [Double], original: Int)
  }

  var theta: Double
  /// Of a head.
  var width: Int
  var scaling: Scaling
  /// What cosines and sines are multiplied by, and scores thereby by its square.
  var amplitude = 1.0

  /// Sequences of lengths with the same extent turn alike.
  func extent(of length: Int) -> Int {
    switch scaling {
    case .none, .linear, .proportional, .llama3, .yarn: 0
    case .dynamic(_, let original): max(length, original)
    case .longrope(_, _, let original): length > original ? 1 : 0
    }
  }

  /// Angle per position of each of the width/2 pairs, in sequences of an extent.
  func frequencies(extent: Int) -> [Double] {
    let pairs = 0..<width / 2
    func plain(_ theta: Double) -> [Double] { pairs.map { pow(theta, -2 * Double($0) / Double(width)) } }
    switch scaling {
    case .none: return plain(theta)
    case .linear(let factor): return plain(theta).map { $0 / factor }
    case .proportional(let factor, let share):
      let turning = Int((share * Double(width) / 2).rounded(.down))
      return plain(theta).enumerated().map { $0.offset < turning ? $0.element / factor : 0 }
    case .llama3(let factor, let low, let high, let original):
      return plain(theta).map { frequency in
        let wavelength = 2 * Double.pi / frequency
        if wavelength < original / high { return frequency }
        if wavelength > original / low { return frequency / factor }
        let smooth = (original / wavelength - low) / (high - low)
        return (1 - smooth) * frequency / factor + smooth * frequency
      }
    case .dynamic(let factor, let original):
      let growth = factor * Double(extent) / Double(original) - (factor - 1)
      return plain(theta * pow(growth, Double(width) / Double(width - 2)))
    case .yarn(let factor, let fast, let slow, let original, let isRounded):
      /// The pair, or what lies between two, that turns so many times within the original context.
      func pair(turning times: Double) -> Double {
        Double(width) * log(original / (times * 2 * Double.pi)) / (2 * log(theta))
      }
      let (first, last) = (pair(turning: fast), pair(turning: slow))
      let low = max(isRounded ? first.rounded(.down) : first, 0)
      var high = min(isRounded ? last.rounded(.up) : last, Double(width - 1))
      if low == high { high += 0.001 }
      return plain(theta).enumerated().map { i, frequency in
        let slowed = min(max((Double(i) - low) / (high - low), 0), 1)
        return frequency / factor * slowed + frequency * (1 - slowed)
      }
    case .longrope(let short, let long, _):
      return zip(plain(theta), extent == 1 ? long : short).map { $0 / $1 }
    }
  }
}
