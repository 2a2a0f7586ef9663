import CKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A counter-based random stream: its n-th number is a function of key and n alone (Philox4x32-10).
///
/// Nothing random in this project has hidden state: two streams of one key are equal, so replay, recomputation and
/// resumption repeat every draw.
public struct Philox: Sendable, RandomNumberGenerator {
  /// Seed and purpose.
  public let key: UInt64
  /// Blocks of four 32-bit words drawn so far.
  public private(set) var position: UInt64 = 0
  private var spare: UInt64?

  public init(key: UInt64) { self.key = key }

  /// A stream of its own for `label`, whatever was drawn here.
  public func stream(_ label: String) -> Philox {
    // FNV-1a over the label, then the finaliser of SplitMix64 to spread it.
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in label.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return stream(hash)
  }

  /// A stream of its own for `number`.
  public func stream(_ number: UInt64) -> Philox {
    var z = key &+ 0x9e37_79b9_7f4a_7c15 &+ number &* 0xd129_0d3d_0f1b_e5e5
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return Philox(key: z ^ (z >> 31))
  }

  public mutating func next() -> UInt64 {
    if let word = spare {
      spare = nil
      return word
    }
    defer { position &+= 1 }
    return withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 4) { words in
      philox_block(key, 0, position, words.baseAddress)
      spare = UInt64(words[2]) | UInt64(words[3]) << 32
      return UInt64(words[0]) | UInt64(words[1]) << 32
    }
  }

  /// Uniform in [0, 1).
  public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Uniform integer in 0..<bound.
  public mutating func integer(below bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }

  /// `count` distinct integers of 0..<bound, ascending, every set of them equally likely (Floyd's method: `count` draws).
  public mutating func distinct(_ count: Int, below bound: Int) -> [Int] {
    precondition(count <= bound, "\(count) distinct integers below \(bound)")
    var chosen = Set<Int>(minimumCapacity: count)
    for last in bound - count..<bound {
      let candidate = integer(below: last + 1)
      chosen.insert(chosen.contains(candidate) ? last : candidate)
    }
    return chosen.sorted()
  }

  /// Standard normal (Box-Muller; one of the pair is used, so that draws never depend on their parity).
  public mutating func normal() -> Double {
    let radius = (-2 * log(1 - uniform())).squareRoot()
    return radius * cos(2 * .pi * uniform())
  }

  /// A tensor of draws from the uniform distribution on [low, high).
  public mutating func uniform(_ shape: [Int], in range: Range<Double>, _ scalar: ScalarType = .float32) -> Tensor {
    let span = range.upperBound - range.lowerBound
    return Tensor((0..<shape.reduce(1, *)).map { _ in range.lowerBound + span * uniform() }, shape: shape, scalar)
  }

  /// A tensor of draws from the normal distribution of mean zero.
  public mutating func normal(_ shape: [Int], deviation: Double, _ scalar: ScalarType = .float32) -> Tensor {
    Tensor((0..<shape.reduce(1, *)).map { _ in deviation * normal() }, shape: shape, scalar)
  }
}
