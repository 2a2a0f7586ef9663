import Engine
import PEFTKernel

/// A random projection that is nearly isometric and costs O(D log d) [arXiv:1408.3060, for training in a subspace arXiv:1804.08838].
///
///     θ_D = the first D entries of c·[V_1; …; V_N]·θ_d,   V = H·G·Π·H·Z,   c = √(N / (D·Σg²))
///
/// on θ_d padded with zeros to a power of two L ≥ d: Z = diag(±1), Π a permutation, G = diag(g) with g ~ N(0, 1), H the
/// Walsh–Hadamard matrix, HᵀH = L·I. As many blocks V are stacked as D needs; one block with L ≥ D is the textbook's form, at
/// O(D log D). The columns of a whole block have one length, and c makes it 1 over all blocks: PᵀP ≈ I.
struct Fastfood: FactorMap {
  let length: Int
  let positions: Int
  /// Z, Π and G of every block [N, L]. Π as whole numbers: entry i of a block becomes what was entry π(i).
  let signs: Tensor
  let permutation: Tensor
  let gaussian: Tensor

  private var blocks: Int { gaussian.rows }
  private var size: Int { gaussian.columns }

  func project(_ theta: Tensor) -> Tensor {
    let (hadamard, scalar) = (Hadamard(inputs: size), theta.scalar)
    let padded = length == size ? theta : .joinedRows([theta, .zeros([size - length], scalar)])
    let mixed = signs.converted(to: scalar).multipliedByRow(padded).hadamard(hadamard)
    let shuffled = mixed.reshaped([blocks * size, 1]).gatherRows(places).reshaped([blocks, size])
    let spread = (shuffled * gaussian.converted(to: scalar)).hadamard(hadamard)
    // The engine's transforms are orthonormal, H/√L.
    let scale = (Double(blocks) / (Double(positions) * gaussian.sumOfSquares)).squareRoot() * Double(size)
    return spread.reshaped([blocks * size]).slice(rows: 0..<positions) * scale
  }

  /// Π of all blocks as places in all of them.
  private var places: [Int32] {
    let (floats, size) = (permutation.floats, size)
    return (0..<floats.count).map { Int32(floats[$0]) + Int32($0 / size * size) }
  }

  func check() throws(Refusal) {
    let shape = gaussian.shape
    guard shape.count == 2, shape[1] > 0, shape[1] & (shape[1] - 1) == 0, signs.shape == shape, permutation.shape == shape else {
      throw Refusal(
        "the draws of fastfood have shapes \(signs.shape), \(permutation.shape) and \(shape), not one, of blocks of a power of two"
      )
    }
    guard size >= length, blocks * size >= positions, blocks * size <= Int(Int32.max) else {
      throw Refusal("\(blocks) blocks of \(size) cannot make \(positions) numbers of \(length)")
    }
    guard signs.values.allSatisfy({ abs($0) == 1 }) else { throw Refusal("the signs of fastfood are not all 1 or -1") }
    guard gaussian.isFinite, gaussian.sumOfSquares > 0 else {
      throw Refusal("the normal draws of fastfood vanish or are not finite")
    }
    let floats = permutation.floats
    for block in 0..<blocks {
      var isThere = [Bool](repeating: false, count: size)
      for value in floats[block * size..<(block + 1) * size] {
        guard let place = Int(exactly: value), isThere.indices.contains(place), !isThere[place] else {
          throw Refusal("the permutation of fastfood has \(value) where each of 0..<\(size) stands once")
        }
        isThere[place] = true
      }
    }
  }
}

extension Fastfood {
  /// The draws for D of d numbers, blocks of the least power of two that holds θ_d. `source` decides; files need not hold them.
  static func specs(positions: Int, length: Int, _ source: Philox) -> [TensorSpec] {
    let size = 1 << (Int.bitWidth - (length - 1).leadingZeroBitCount)
    let blocks = (positions + size - 1) / size
    func spec(_ name: String, _ role: Role, _ values: @escaping @Sendable (inout Philox) -> [Float]) -> TensorSpec {
      let stream = source.stream("fastfood").stream(name)
      let fill = Computation("\(name) \(stream.key) \(blocks) \(size)") {
        var stream = stream
        return values(&stream)
      }
      return TensorSpec(TensorKey(name), [blocks, size], role, fill: .computed(fill), keep: .seeded, decays: false)
    }
    return [
      spec("unilora_signs", .constant) { random in (0..<blocks * size).map { _ in random.next() >> 63 == 0 ? 1 : -1 } },
      spec("unilora_permutation", .index) { random in
        var shuffle = PhiloxShuffle(source: random)
        return (0..<blocks).flatMap { _ in
          var list = Array(0..<Int32(size))
          shuffle.shuffle(&list)
          return list.map(Float.init)
        }
      },
      spec("unilora_gaussian", .constant) { random in (0..<blocks * size).map { _ in Float(random.normal()) } },
    ]
  }

  init(_ stored: Tensors, positions: Int, length: Int) {
    self.init(
      length: length, positions: positions, signs: stored["unilora_signs"], permutation: stored["unilora_permutation"],
      gaussian: stored["unilora_gaussian"])
  }
}
