import Engine
import PEFTKernel

/// scale · F with F [outputs, inputs] zero but for trained values [count] at some places: one multiplication an entry and token,
/// and the gradient of the values sampled from the entries' rows and columns alone.
public struct SparseEntries: LinearMap {
  public let values: Tensor
  public let places: SparsePlaces
  public let scale: Double

  public init(_ values: Tensor, at places: SparsePlaces, scale: Double = 1) {
    self.values = values
    self.places = places
    self.scale = scale
  }

  public var outputs: Int { places.outputs }
  public var inputs: Int { places.inputs }

  public func apply(_ x: Tensor) -> Tensor {
    apply(x, addedTo: .zeros(x.shape.dropLast() + [outputs], x.scalar))
  }

  public func apply(_ x: Tensor, addedTo base: consuming Tensor) -> Tensor {
    x.sparse(values, at: places, scale: scale, addedTo: base)
  }

  public func apply(_ x: Tensor, subtractedFrom base: consuming Tensor) -> Tensor {
    x.sparse(values, at: places, scale: -scale, addedTo: base)
  }

  public func dense() -> Tensor { values.scattered(at: places, scale: scale) }

  /// left·F, one multiplication an entry and row: Fᵀ has the same entries, by columns.
  public func multiplied(from left: Tensor) -> Tensor {
    let index = places.index.values
    let order = (0..<places.count).map { (column: Int(index[places.count + $0]), row: Int(index[$0]), entry: Int32($0)) }
      .sorted { ($0.column, $0.row) < ($1.column, $1.row) }
    let turned = Tensor(order.map { Float($0.column) } + order.map { Float($0.row) }, shape: [2, places.count])
    guard let places = SparsePlaces(turned, outputs: inputs, inputs: outputs) else { return left.multiplied(by: dense()) }
    let values = values.reshaped([values.count, 1]).gatherRows(order.map(\.entry)).reshaped([values.count])
    return left.sparse(values, at: places, scale: scale, addedTo: .zeros([left.rows, inputs], left.scalar))
  }

  public var scaled: (factor: Double, matrix: Tensor) { (scale, values.scattered(at: places)) }
}

extension SparseEntries {
  /// The places that an adapter's index tensor [2, count] names in [outputs, inputs]; refuses what is no list of them.
  public static func places(_ key: TensorKey, of stored: Tensors, outputs: Int, inputs: Int) throws(Refusal) -> SparsePlaces {
    guard let places = SparsePlaces(stored[key], outputs: outputs, inputs: inputs) else {
      throw Refusal(
        "\(key) holds no distinct places (row, column) of [\(outputs), \(inputs)] in row-major order",
        remedy: "use a file whose indices belong to this model")
    }
    return places
  }
}
