import Engine
import Testing

/// Solves and decompositions of symmetric matrices against what defines them.
@Suite struct SymmetricTests {
  func product(_ a: Tensor, _ b: Tensor) -> Tensor { a.multiplied(by: b) }

  func positive(_ n: Int, rank: Int? = nil, seed: UInt64) -> Tensor {
    var random = Philox(key: seed)
    let root = random.normal([n, rank ?? n], deviation: 1, .float64)
    return root.multiplied(byTransposeOf: root)
  }

  @Test(arguments: [1, 2, 7, 33]) func choleskySolvesFromBothSides(_ n: Int) throws {
    let m = positive(n, seed: 1) + .identity(n, .float64) * 0.1
    var random = Philox(key: 2)
    let (b, c) = (random.normal([n, 5], deviation: 1, .float64), random.normal([5, n], deviation: 1, .float64))
    let cholesky = try Cholesky(m)
    #expect((product(m, cholesky.solve(b)) - b).largestMagnitude < 1e-9)
    #expect((product(cholesky.solve(right: c), m) - c).largestMagnitude < 1e-9)
    // Nothing is written where the right-hand side lies.
    let before = b.values
    _ = cholesky.solve(b)
    #expect(b.values == before)
  }

  @Test func choleskyRefusesWhatIsNotPositive() {
    for matrix in [Tensor([1, 2, 2, 1], shape: [2, 2], .float64), .zeros([3, 3], .float64), Tensor([.nan], shape: [1, 1])] {
      #expect(throws: LinearAlgebraError.self) { try Cholesky(matrix) }
    }
  }

  @Test(arguments: [1, 3, 20]) func eigenvectorsDiagonalize(_ n: Int) throws {
    let m = positive(n, seed: 3) - .identity(n, .float64)
    let (values, u) = try LinearAlgebra.symmetricEigen(m)
    #expect(values == values.sorted())
    #expect((u.transposed.multiplied(by: u) - .identity(n, .float64)).largestMagnitude < 1e-12)
    let again = u.multipliedByRow(Tensor(values, .float64)).multiplied(byTransposeOf: u)
    #expect((again - m).largestMagnitude < 1e-11 * max(1, m.largestMagnitude))
    #expect(throws: LinearAlgebraError.self) { try LinearAlgebra.symmetricEigen(m * .nan) }
  }

  @Test func sylvesterSolves() throws {
    let (p, q) = (positive(4, seed: 4), positive(3, rank: 2, seed: 5))
    var random = Philox(key: 6)
    let c = random.normal([4, 3], deviation: 1, .float64)
    let x = try LinearAlgebra.sylvester(p, q, c)
    #expect((product(p, x) + product(x, q) - c).largestMagnitude < 1e-11)
    // With both singular, X is 0 where the equation says nothing.
    let zero = Tensor.zeros([2, 2], .float64)
    #expect(try LinearAlgebra.sylvester(zero, zero, Tensor([1, 2, 3, 4], shape: [2, 2], .float64)).largestMagnitude == 0)
  }

  @Test func pseudoInverseIsPenroses() throws {
    var random = Philox(key: 7)
    let wide = random.normal([4, 2], deviation: 1, .float64)
    let m = product(wide, random.normal([2, 6], deviation: 1, .float64))
    let inverse = try LinearAlgebra.pseudoInverse(m, tolerance: 1e-12)
    #expect(inverse.shape == [6, 4])
    #expect((product(product(m, inverse), m) - m).largestMagnitude < 1e-12)
    #expect((product(product(inverse, m), inverse) - inverse).largestMagnitude < 1e-12)
    for square in [product(m, inverse), product(inverse, m)] {
      #expect((square - square.transposed).largestMagnitude < 1e-12)
    }
    #expect(try LinearAlgebra.pseudoInverse(.zeros([3, 2]), tolerance: 1e-12).largestMagnitude == 0)
  }
}
