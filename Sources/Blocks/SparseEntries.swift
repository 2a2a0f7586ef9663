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
