import Engine
import Files

extension DecoderConfig {
  /// The function between the maps of an MLP.
  enum Activation: Sendable, CaseIterable {
    case silu
    case gelu
    /// GELU by the tanh approximation.
    case geluTanh
    case relu

    /// How configs spell it: one formula has several names.
    var spellings: [String] {
      switch self {
      case .silu: ["silu", "swish"]
      case .gelu: ["gelu", "gelu_python"]
      case .geluTanh: ["gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_accurate", "gelu_python_tanh"]
      case .relu: ["relu"]
      }
    }

    init(_ reader: ConfigReader, _ name: String, default fallback: String) throws(FileError) {
      let spelling = try reader.choice(name, default: fallback, supported: Self.allCases.flatMap(\.spellings))
      self = Self.allCases.first { $0.spellings.contains(spelling) } ?? .silu
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
      switch self {
      case .silu: x.silu
      case .gelu: x.gelu
      case .geluTanh: x.geluTanh
      case .relu: x.relu
      }
    }

    /// f(gate) · up.
    func callAsFunction(gate: Tensor, up: Tensor) -> Tensor {
      switch self {
      case .silu: Tensor.swiglu(gate: gate, up: up)
      case .geluTanh: Tensor.geglu(gate: gate, up: up)
      case .gelu, .relu: self(gate) * up
      }
    }
  }
}
