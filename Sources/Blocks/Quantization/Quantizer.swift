import Engine
import PEFTKernel

/// Turns a weight into few bits. What comes out is a base to train adapters on; nothing of it is trained.
public protocol Quantizer: Sendable {
  /// Whether it looks at C = XᵀX [inputs, inputs], the Gram of the inputs the weight meets.
  var wantsGram: Bool { get }
  /// The codes of W [outputs, inputs]. Refuses weights and Grams that are not finite, sizes that it cannot divide, and a missing
  /// Gram where it wants one.
  func quantized(_ weight: Tensor, gram: Tensor?) throws(Refusal) -> QuantizedWeight
}

/// A weight in few bits, as a quantizer leaves it.
public struct QuantizedWeight: Sendable {
  public var codes: WeightCodes
  /// What the user should know about how it came about.
  public var notes: [String]

  public init(_ codes: WeightCodes, notes: [String] = []) {
    self.codes = codes
    self.notes = notes
  }

  public var matrix: FrozenMatrix { FrozenMatrix(codes) }

  /// E = W − Ŵ [outputs, inputs] in double, Ŵ as decoding gives it.
  public func error(of weight: Tensor) -> Tensor { weight.converted(to: .float64) - matrix.dense(as: .float64) }
}

/// Measures of what a weight lost.
public enum QuantizationError {
  /// ‖E·Xᵀ‖_F = √tr(E·C·Eᵀ) for E [outputs, inputs] and C = XᵀX: how far outputs are off.
  public static func output(_ error: Tensor, gram: Tensor) -> Double {
    let (error, gram) = (error.converted(to: .float64), gram.converted(to: .float64))
    return max(0, (error.multiplied(by: gram) * error).sum.item).squareRoot()
  }
}

extension Quantizer {
  /// W in double, and C where one is given; refuses what no quantizer can work with.
  func checked(_ weight: Tensor, _ gram: Tensor?) throws(Refusal) -> (weight: Tensor, gram: Tensor?) {
    guard weight.rank == 2, weight.count > 0 else { throw Refusal("a weight of shape \(weight.shape) has nothing to quantize") }
    guard weight.isFinite else { throw Refusal("the weight has entries that are not finite") }
    guard let gram else {
      guard !wantsGram else {
        throw Refusal("this needs the Gram of the weight's inputs", remedy: "give calibration data, or use rtn or nf4")
      }
      return (weight.converted(to: .float64), nil)
    }
    guard gram.shape == [weight.columns, weight.columns] else {
      throw Refusal("the Gram has shape \(gram.shape), but the weight has \(weight.columns) inputs")
    }
    guard gram.isFinite else { throw Refusal("the Gram of the inputs has entries that are not finite") }
    return (weight.converted(to: .float64), gram.converted(to: .float64))
  }
}
