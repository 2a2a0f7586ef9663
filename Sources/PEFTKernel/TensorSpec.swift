import Engine

/// Who a tensor belongs to: one site, or all sites of the model together.
public enum Scope: Hashable, Sendable {
  case site(SiteID)
  case model
}

/// The name of a tensor in an adapter.
public struct TensorKey: Hashable, Sendable, CustomStringConvertible {
  public let name: String
  public let scope: Scope

  public init(_ name: String, _ scope: Scope = .model) {
    self.name = name
    self.scope = scope
  }

  public init(_ name: String, _ site: SiteID) { self.init(name, .site(site)) }

  public var description: String {
    switch scope {
    case .site(let id): "\(id.path).\(name)"
    case .model: name
    }
  }
}

/// How a tensor starts where no evidence is needed.
public enum Fill: Sendable, Hashable {
  case zeros
  /// U(−bound, bound).
  case uniform(bound: Double)
  /// N(0, deviation²).
  case normal(deviation: Double)
  /// The identity on the last two axes, plus N(0, noise²).
  case identity(noise: Double)
  /// Given values, row-major.
  case values([Double])
  /// Distinct places in a matrix of that size, drawn at random: [2, count], row numbers and then column numbers, in row-major order.
  case places(rows: Int, columns: Int)
  /// Values that follow from options and sites, whatever the seed.
  case computed(Computation)

  /// A tensor of that distribution.
  public func tensor(_ shape: [Int], _ random: inout Philox, _ scalar: ScalarType = .float32) -> Tensor {
    switch self {
    case .zeros: return .zeros(shape, scalar)
    case .uniform(let bound): return random.uniform(shape, in: -bound..<bound, scalar)
    case .normal(let deviation): return random.normal(shape, deviation: deviation, scalar)
    case .values(let values): return Tensor(values, shape: shape, scalar)
    case .computed(let computation): return Tensor(computation.values(), shape: shape).converted(to: scalar)
    case .places(let rows, let columns):
      let places = random.distinct(shape[1], below: rows * columns)
      return Tensor(places.map { Double($0 / columns) } + places.map { Double($0 % columns) }, shape: shape, scalar)
    case .identity(let noise):
      let (n, m) = (shape[shape.count - 2], shape[shape.count - 1])
      return Tensor(
        (0..<shape.reduce(1, *)).map { i in (i / m % n == i % m ? 1 : 0) + noise * random.normal() }, shape: shape, scalar)
    }
  }
}

/// Values made when they are asked for, so that laying a method out costs nothing; equal where the names are.
public struct Computation: Sendable, Hashable {
  /// Everything the values depend on.
  public let name: String
  /// Row-major.
  public let values: @Sendable () -> [Float]

  public init(_ name: String, _ values: @escaping @Sendable () -> [Float]) {
    self.name = name
    self.values = values
  }

  public static func == (a: Computation, b: Computation) -> Bool { a.name == b.name }

  public func hash(into hasher: inout Hasher) { hasher.combine(name) }
}

/// Whether a file holds a tensor, or how it is made again.
public enum Keep: Sendable, Hashable {
  case stored
  /// Drawn again from the seed.
  case seeded
  /// Derived again from the base (see `Projection.derive`); the file holds a digest that it must agree with.
  case derived
}

/// One tensor of an adapter: its name in files, its shape, its role, how it starts and how it is kept.
public struct TensorSpec: Sendable, Hashable {
  public var key: TensorKey
  public var shape: [Int]
  public var role: Role
  public var fill: Fill
  public var keep: Keep
  /// Whether weight decay applies.
  public var decays: Bool

  public init(
    _ key: TensorKey, _ shape: [Int], _ role: Role, fill: Fill = .zeros, keep: Keep = .stored, decays: Bool = true
  ) {
    self.key = key
    self.shape = shape
    self.role = role
    self.fill = fill
    self.keep = keep
    self.decays = decays
  }

  public var count: Int { shape.reduce(1, *) }
}

/// The tensors of an adapter by name.
public struct Tensors: Sendable {
  public var values: [TensorKey: Tensor]

  public init(_ values: [TensorKey: Tensor] = [:]) { self.values = values }

  /// A tensor that the layout promised; its absence is a fault of the method.
  public subscript(name: String, site: SiteID) -> Tensor {
    get { self[TensorKey(name, site)] }
    set { self[TensorKey(name, site)] = newValue }
  }

  /// A model-wide tensor that the layout promised.
  public subscript(name: String) -> Tensor {
    get { self[TensorKey(name)] }
    set { self[TensorKey(name)] = newValue }
  }

  public subscript(key: TensorKey) -> Tensor {
    get {
      guard let tensor = values[key] else { preconditionFailure("no tensor \(key) in the adapter") }
      return tensor
    }
    set { values[key] = newValue }
  }

  /// A tensor that may be absent.
  public func optional(_ name: String, _ site: SiteID) -> Tensor? { values[TensorKey(name, site)] }

  public func optional(_ name: String) -> Tensor? { values[TensorKey(name)] }
}
