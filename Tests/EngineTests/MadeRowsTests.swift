import Engine
import Testing

/// Products with a matrix that is made in blocks against those with the whole of it.
@Suite struct MadeRowsTests {
  /// M[i, :] = a[i]·b[i mod 3, :], twelve rows.
  static let matrix = MadeRows(columns: 5, blocks: [0..<6, 6..<9, 9..<12]) { block, parts in
    let rows = Tensor.joinedRows((0..<block.count / 3).map { _ in parts[1] })
    return rows.multipliedByColumn(parts[0].slice(rows: block))
  }

  struct Problem {
    var random = Philox(key: 3)
    let a, b: Tensor

    init() {
      a = random.normal([12], deviation: 1, .float64)
      b = random.normal([3, 5], deviation: 1, .float64)
    }
  }

  @Test(arguments: [true, false], [1, 7]) func productsAreThoseOfTheWhole(_ isTransposed: Bool, _ rows: Int) throws {
    var problem = Problem()
    let x = problem.random.normal([rows, isTransposed ? 5 : 12], deviation: 1, .float64)
    let dy = problem.random.normal([rows, isTransposed ? 12 : 5], deviation: 1, .float64)
    func gradients(_ product: (_ x: Tensor, _ parts: [Tensor]) -> Tensor) throws -> [Tensor] {
      let (x, a, b) = (x.tracked(), problem.a.tracked(), problem.b.tracked())
      let y = product(x, [a, b])
      Tensor.backward([(y, dy)])
      return [y.detached, try #require(x.gradient), try #require(a.gradient), try #require(b.gradient)]
    }
    let made = try gradients { x, parts in
      isTransposed ? x.linear(Self.matrix, of: parts) : x.multiplied(by: Self.matrix, of: parts)
    }
    let whole = try gradients { x, parts in
      let matrix = Self.matrix.dense(of: parts)
      return isTransposed ? x.linear(matrix) : x.multiplied(by: matrix)
    }
    for (mine, other) in zip(made, whole) {
      #expect(mine.shape == other.shape && (mine - other).largestMagnitude < 1e-12)
    }
  }

  @Test func whatIsNotTrainedHasNoGradient() throws {
    var problem = Problem()
    let x = problem.random.normal([4, 5], deviation: 1, .float64)
    let a = problem.a.tracked()
    Tensor.backward([(x.linear(Self.matrix, of: [a, problem.b]), Tensor(repeating: 1, shape: [4, 12], .float64))])
    #expect(a.gradient?.shape == [12])
    #expect(!x.linear(Self.matrix, of: [problem.a, problem.b]).hasHistory)
    let tracked = x.tracked()
    Tensor.backward([
      (tracked.linear(Self.matrix, of: [problem.a, problem.b]), Tensor(repeating: 1, shape: [4, 12], .float64))
    ])
    #expect(tracked.gradient?.shape == [4, 5])
  }
}
