import Engine
import PEFTKernel
import Synchronization

/// The fixed map P [n', n] of a Walsh–Hadamard transform: additions only, computed once for all sites that read one input.
public struct WalshHadamard: LinearMap {
  public let transform: Hadamard
  private let scalar: ScalarType

  public init(_ transform: Hadamard, as scalar: ScalarType) {
    self.transform = transform
    self.scalar = scalar
  }

  public var outputs: Int { transform.size }
  public var inputs: Int { transform.inputs }
  public func apply(_ x: Tensor) -> Tensor { x.hadamard(transform) }
  public func dense() -> Tensor { Tensor.identity(transform.size, scalar).hadamardTransposed(transform) }
  public func multiplied(from left: Tensor) -> Tensor { left.hadamardTransposed(transform) }
  public var share: String? { "walsh-hadamard" }

  /// The transforms of some sizes, each made when it is first asked for: their base matrices cost more than a token's transform.
  public final class Sizes: Sendable {
    private let made = Mutex<[Int: Hadamard]>([:])

    public init() {}

    public subscript(inputs: Int) -> Hadamard {
      made.withLock { made in
        if let transform = made[inputs] { return transform }
        let transform = Hadamard(inputs: inputs)
        made[inputs] = transform
        return transform
      }
    }
  }
}
