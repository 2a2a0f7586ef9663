import Engine
import Testing

@Suite struct LengthTests {
  @Test(arguments: [ScalarType.float32, .float64]) func lengthsAreThoseOfTheEntries(_ scalar: ScalarType) {
    #expect(Tensor([3, 0, -4], scalar).length.item == 5)
    var random = Philox(key: 3)
    let (a, b) = (random.normal([9, 2], deviation: 1, scalar), random.normal([2, 7], deviation: 1, scalar))
    let product = a.multiplied(by: b).sumOfSquares.squareRoot()
    #expect(abs(a.productLength(b).item / product - 1) < (scalar == .float32 ? 1e-6 : 1e-14))
  }

  /// Where a length is zero it has no gradient to give.
  @Test func gradientsAtZeroAreZero() {
    let x = Tensor.zeros([4], .float64).tracked()
    x.length.backward()
    #expect(x.gradient?.values == [0, 0, 0, 0])
    let (a, b) = (Tensor(repeating: 1, shape: [3, 2]).tracked(), Tensor.zeros([2, 3]).tracked())
    a.productLength(b).backward()
    #expect(a.gradient?.largestMagnitude == 0 && b.gradient?.largestMagnitude == 0)
  }

  @Test(arguments: [ScalarType.float32, .float64]) func shiftedReLUIsThatOfTheShiftedMatrix(_ scalar: ScalarType) {
    let d = Tensor([1, 0.25, 0, 2], scalar)
    let x = Tensor((0..<16).map { Double($0 % 5) - 2 }, shape: [4, 4], scalar)
    let shift = Tensor.identity(4, scalar).multipliedByRow(d)
    #expect(x.relu(shiftedBy: d).values == ((x + shift).relu - shift).values)
    // A small change of a large entry is kept to the bit.
    let small = Tensor([1e-9, 0, 0, 1e-9], shape: [2, 2], scalar)
    #expect(small.relu(shiftedBy: Tensor([1, 1], scalar)).values == small.values)
  }

  /// At a corner nothing passes: off the diagonal at 0, on it at −d.
  @Test func cornersPassNothing() {
    let x = Tensor([-1, 0, 0, 0], shape: [2, 2], .float64).tracked()
    Tensor.backward([(x.relu(shiftedBy: Tensor([1, 0.5], .float64)), Tensor(repeating: 1, shape: [2, 2], .float64))])
    #expect(x.gradient?.values == [0, 0, 0, 1])
  }
}
