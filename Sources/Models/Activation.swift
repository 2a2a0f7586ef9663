import Engine
import Files

/// A pointwise function.
enum Activation: Sendable {
  case gelu
  case geluTanh
  case quickGELU
  case relu
  case squaredReLU
  case silu
  case tanh
  case sigmoid
  case linear

  /// By the names that configs have for them, several of which stand for one formula.
  static let names: [(name: String, activation: Activation)] = [
    ("gelu", .gelu), ("gelu_python", .gelu), ("gelu_new", .geluTanh), ("gelu_pytorch_tanh", .geluTanh),
    ("gelu_python_tanh", .geluTanh), ("gelu_fast", .geluTanh), ("gelu_accurate", .geluTanh), ("quick_gelu", .quickGELU),
    ("relu", .relu), ("relu2", .squaredReLU), ("silu", .silu), ("swish", .silu), ("tanh", .tanh), ("sigmoid", .sigmoid),
    ("linear", .linear),
  ]

  func callAsFunction(_ x: Tensor) -> Tensor {
    switch self {
    case .gelu: return x.gelu
    case .geluTanh: return x.geluTanh
    // x·σ(1.702·x) is silu(1.702·x) / 1.702.
    case .quickGELU: return (x * 1.702).silu * (1 / 1.702)
    case .relu: return x.relu
    case .squaredReLU:
      let y = x.relu
      return y * y
    case .silu: return x.silu
    case .tanh: return x.tanh
    case .sigmoid: return x.sigmoid
    case .linear: return x
    }
  }

  /// f(gate) · up.
  func callAsFunction(gate: Tensor, up: Tensor) -> Tensor {
    switch self {
    case .silu: Tensor.swiglu(gate: gate, up: up)
    case .geluTanh: Tensor.geglu(gate: gate, up: up)
    default: self(gate) * up
    }
  }
}

extension ConfigReader {
  func activation(_ name: String, default fallback: String) throws(FileError) -> Activation {
    let chosen = try choice(name, default: fallback, supported: Activation.names.map(\.name))
    return Activation.names.first { $0.name == chosen }?.activation ?? .linear
  }
}
