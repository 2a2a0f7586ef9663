import Engine
import PEFTKernel

/// The bands of its input [T, n]: what a chain in wavelet coordinates begins with. Sites that read one input share it.
public struct WaveletAnalysis: LinearMap {
  public let transform: WaveletTransform
  public let inputs: Int
  let scalar: ScalarType

  /// `scalar` is what the other factors of the chain compute in.
  public init(_ transform: WaveletTransform, inputs: Int, _ scalar: ScalarType) {
    self.transform = transform
    self.inputs = inputs
    self.scalar = scalar
  }

  public var outputs: Int { transform.width(inputs) }
  public var share: String? { "wavelet analysis \(transform.name) of \(inputs)" }
  public func apply(_ x: Tensor) -> Tensor { x.waveletAnalysis(transform) }
  public func dense() -> Tensor { Tensor.identity(inputs, scalar).waveletAnalysis(transform).transposed }
  public func multiplied(from left: Tensor) -> Tensor { left.waveletSynthesis(transform, count: inputs) }
}

/// The rows [T, n] that given bands add up to, the adjoint of the analysis: what such a chain ends with.
public struct WaveletSynthesis: LinearMap {
  public let transform: WaveletTransform
  public let outputs: Int
  let scalar: ScalarType

  public init(_ transform: WaveletTransform, outputs: Int, _ scalar: ScalarType) {
    self.transform = transform
    self.outputs = outputs
    self.scalar = scalar
  }

  public var inputs: Int { transform.width(outputs) }
  public var share: String? { "wavelet synthesis \(transform.name) of \(outputs)" }
  public func apply(_ x: Tensor) -> Tensor { x.waveletSynthesis(transform, count: outputs) }
  public func apply(_ x: Tensor, addedTo base: consuming Tensor) -> Tensor { x.waveletSynthesis(transform, addedTo: base) }
  public func dense() -> Tensor { Tensor.identity(outputs, scalar).waveletAnalysis(transform) }
  public func multiplied(from left: Tensor) -> Tensor { left.waveletAnalysis(transform) }
}

/// The columns `range` of an input of `inputs` numbers: one band of many, or several that lie side by side.
public struct Columns: LinearMap {
  public let range: Range<Int>
  public let inputs: Int
  let scalar: ScalarType

  public init(_ range: Range<Int>, of inputs: Int, _ scalar: ScalarType) {
    self.range = range
    self.inputs = inputs
    self.scalar = scalar
  }

  public var outputs: Int { range.count }
  public var share: String? { "columns \(range) of \(inputs)" }
  public func apply(_ x: Tensor) -> Tensor { range.count == inputs ? x : x.slice(columns: range) }
  public func dense() -> Tensor { Tensor.identity(inputs, scalar).slice(rows: range) }

  public func multiplied(from left: Tensor) -> Tensor {
    left.added(toColumnsFrom: range.lowerBound, of: .zeros([left.rows, inputs], left.scalar))
  }
}

/// Zeros but for the columns `range`, where its input goes: the adjoint of `Columns`.
public struct Placed: LinearMap {
  public let range: Range<Int>
  public let outputs: Int
  let scalar: ScalarType

  public init(_ range: Range<Int>, of outputs: Int, _ scalar: ScalarType) {
    self.range = range
    self.outputs = outputs
    self.scalar = scalar
  }

  public var inputs: Int { range.count }
  public var share: String? { "placed \(range) of \(outputs)" }
  public func multiplied(from left: Tensor) -> Tensor { left.slice(columns: range) }

  public func apply(_ x: Tensor) -> Tensor {
    range.count == outputs ? x : x.added(toColumnsFrom: range.lowerBound, of: .zeros([x.rows, outputs], x.scalar))
  }

  public func apply(_ x: Tensor, addedTo base: consuming Tensor) -> Tensor {
    x.added(toColumnsFrom: range.lowerBound, of: base)
  }

  public func dense() -> Tensor { Tensor.identity(outputs, scalar).slice(columns: range) }
}
