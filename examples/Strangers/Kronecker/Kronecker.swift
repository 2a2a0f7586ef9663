import Engine
import PEFTKernel
import Registry

/// KronA, "Parameter Efficient Tuning with Kronecker Adapter" [arXiv:2212.10650].
///
///     ΔW = s·(A ⊗ B),   A [p, q], B [outputs/p, inputs/q]
///
/// p and q are the largest divisors of outputs and inputs up to `factor`. B starts at 0, so step 0 is the base.
/// Trained: p·q + (outputs/p)·(inputs/q) numbers a site. ΔW can have full rank, and is never formed in forward.
public struct KroneckerAdapter: Projection {
  public var factor: Int
  public var scale: Double

  public init(factor: Int = 8, scale: Double = 1) {
    self.factor = factor
    self.scale = scale
  }

  public func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    var specs: [TensorSpec] = []
    for site in sites {
      guard site.kind == .linear else { throw Refusal("kronecker adapts linear maps, which \(site.id) is not") }
      let (p, q) = (divisor(site.outputs), divisor(site.inputs))
      let bound = 1 / Double(q).squareRoot()
      specs.append(.init(TensorKey("kron_A", site.id), [p, q], .core, fill: .uniform(bound: bound)))
      specs.append(.init(TensorKey("kron_B", site.id), [site.outputs / p, site.inputs / q], .core))
    }
    return specs
  }

  public func change(at site: Site, _ prepared: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    WeightChange(chains: [[Kronecker(a: prepared["kron_A", site.id], b: prepared["kron_B", site.id], scale: scale)]])
  }

  private func divisor(_ size: Int) -> Int { (1...factor).last { size % $0 == 0 } ?? 1 }
}

/// s·(A ⊗ B) as a map: an input of q·k numbers is a matrix X [q, k], and its output is s·A·X·Bᵀ.
struct Kronecker: LinearMap {
  let a: Tensor
  let b: Tensor
  let scale: Double

  var outputs: Int { a.rows * b.rows }
  var inputs: Int { a.columns * b.columns }

  /// T·(p·q·k + p·k·m) multiplications for B [m, k].
  func apply(_ x: Tensor) -> Tensor {
    // Engine matrices have two axes, so A meets all rows at once with the rows behind: [q, k·T].
    let behind = x.transposed.reshaped([a.columns, b.columns * x.rows])
    let mixed = a.multiplied(by: behind).reshaped([a.rows * b.columns, x.rows]).transposed
    let blocks = mixed.reshaped([x.rows * a.rows, b.columns])
    return blocks.multiplied(byTransposeOf: b, scale: scale).reshaped([x.rows, outputs])
  }

  func dense() -> Tensor {
    let n = inputs
    let unit = Tensor((0..<n * n).map { $0 % (n + 1) == 0 ? 1 : 0 }, shape: [n, n], a.scalar)
    return apply(unit).transposed
  }
}

/// What this package adds to a registry.
public enum KroneckerMethod {
  public static let plugin = Plugin("kronecker", projections: [definition])

  public static let entry = EntrySource(file: "kronecker.yaml", bytes: PackageResources.kronecker_yaml)

  static let definition = AxisDefinition<any Projection>(
    "kronecker", "ΔW = s·(A ⊗ B) at every site",
    options: [
      OptionSpec("factor", .integer(1...4096), default: .int(8), "largest size of A's sides"),
      OptionSpec("scale", .number(-1e6...1e6), default: .double(1), "s"),
    ]
  ) { (options) throws(Refusal) in
    KroneckerAdapter(factor: options.int("factor"), scale: options.double("scale"))
  }
}
