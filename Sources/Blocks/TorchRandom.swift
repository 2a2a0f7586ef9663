import PEFTKernel

/// PyTorch's generator for the CPU, bit for bit: MT19937, with the draws that adapters of Hugging Face PEFT are remade by.
///
/// For files only. What this project draws for itself comes from `Philox`, which has no state.
public struct TorchRandom: Sendable {
  private var state: [UInt32]
  private var next = TorchRandom.length

  private static let length = 624

  /// The seed of a generator that was given none.
  public static let defaultSeed: UInt64 = 67_280_421_310_721

  /// The largest number of which `permutation` knows PyTorch's way.
  public static let largestPermutation = 214_748_363

  /// Only the low half of a seed counts.
  public init(seed: UInt64) {
    state = [UInt32](repeating: 0, count: Self.length)
    state[0] = UInt32(truncatingIfNeeded: seed)
    for i in 1..<Self.length {
      let before = state[i - 1]
      state[i] = 1_812_433_253 &* (before ^ before >> 30) &+ UInt32(i)
    }
  }

  public mutating func next32() -> UInt32 {
    if next == Self.length {
      for k in 0..<Self.length {
        let y = state[k] & 0x8000_0000 | state[(k + 1) % Self.length] & 0x7fff_ffff
        state[k] = state[(k + 397) % Self.length] ^ y >> 1 ^ (y & 1 == 0 ? 0 : 0x9908_b0df)
      }
      next = 0
    }
    var y = state[next]
    next += 1
    y ^= y >> 11
    y ^= y << 7 & 0x9d2c_5680
    y ^= y << 15 & 0xefc6_0000
    return y ^ y >> 18
  }

  /// Passes over `count` words.
  public mutating func skip(_ count: Int) {
    for _ in 0..<count { _ = next32() }
  }

  /// The first `count` numbers of `torch.randperm(bound)`, in the time and memory of those alone.
  public mutating func permutation(_ count: Int, of bound: Int) -> [Int] {
    precondition(0...bound ~= count && bound <= Self.largestPermutation, "\(count) of a permutation of \(bound)")
    // Where a number stands that is not in its own place.
    var moved: [Int: Int] = [:]
    return (0..<count).map { i in
      guard i < bound - 1 else { return moved[i] ?? i }
      let j = i + Int(next32() % UInt32(bound - i))
      let (own, other) = (moved[i] ?? i, moved[j] ?? j)
      moved[j] = own
      moved[i] = nil
      return j == i ? own : other
    }
  }

  /// How PyTorch holds what it draws.
  public enum Precision: Sendable { case float32, bfloat16 }

  /// `tensor.uniform_(low, high)`, element by element.
  public mutating func uniform(_ count: Int, in range: Range<Double>, _ precision: Precision = .float32) -> [Float] {
    let (low, high) = (Float(range.lowerBound), Float(range.upperBound))
    let span = Double(high - low)
    func held(_ value: Float) -> Float { precision == .bfloat16 ? value.asBFloat16 : value }
    let (least, end) = (held(low), held(high))
    return (0..<count).map { _ in
      // Rounded once: the product is exact in double.
      let value = held(Float(Double(next32() & 0xff_ffff) * 0x1p-24 * span + Double(low)))
      return value == end ? least : value
    }
  }
}

extension Float {
  /// The nearest number with eight significant bits, of two the even one.
  public var asBFloat16: Float {
    guard isFinite else { return self }
    let bits = bitPattern
    return Float(bitPattern: (bits &+ 0x7fff &+ (bits >> 16 & 1)) & 0xffff_0000)
  }
}

extension TorchRandom {
  /// Refuses to draw `count` of a site's out·in places where there are fewer, or more than `permutation` knows. `places` is what the
  /// method calls them, `remedy` what helps beside an n_frequency that is smaller.
  public static func check(_ count: Int, of places: String, at site: Site, orElse remedy: String) throws(Refusal) {
    let (all, name) = (site.outputs * site.inputs, "\(site.id) [\(site.outputs), \(site.inputs)]")
    guard count <= all else {
      throw Refusal(
        "\(name) has \(all) \(places), fewer than the \(count) asked for",
        remedy: "use an n_frequency of at most \(all), or \(remedy)")
    }
    guard all <= largestPermutation else {
      throw Refusal("\(name) has more \(places) than the draw of places is known for", remedy: "leave the site out")
    }
  }
}
