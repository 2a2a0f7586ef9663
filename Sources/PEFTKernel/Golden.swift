import Engine

/// A reference file as a method meets it: what an independent oracle computed.
public struct GoldenFile: Sendable {
  public var method: String
  /// Hyper-parameters by the spec's names.
  public var config: [String: OptionValue]
  /// Real tensors by name, in double.
  public var tensors: GoldenTensors<Tensor>
  /// Integer tensors by name, flattened row-major.
  public var integers: GoldenTensors<[Int]>

  public init(method: String, config: [String: OptionValue], tensors: [String: Tensor], integers: [String: [Int]]) {
    self.method = method
    self.config = config
    self.tensors = GoldenTensors(tensors)
    self.integers = GoldenTensors(integers)
  }

  public func int(_ name: String) -> Int? {
    guard case .int(let value)? = config[name] else { return nil }
    return value
  }

  /// Whether the file states a problem of `name`: `my_method`, `my-method` and `My Method` are one.
  public func isOf(_ name: String) -> Bool {
    func plain(_ text: String) -> String { text.lowercased().filter { !"-_ ".contains($0) } }
    return plain(method) == plain(name)
  }

  /// The hyper-parameters alone: the config without shapes and without what only steered the drawing.
  public var options: [String: OptionValue] {
    let others: Set = ["out", "in", "batch", "spread", "size", "sharpness", "zero_B", "other", "bias_free"]
    return config.filter { !others.contains($0.key) }
  }

  public func tensor(_ name: String) throws(Refusal) -> Tensor {
    guard let tensor = tensors[name] else { throw Refusal("the file has no tensor \(name)") }
    return tensor
  }
}

/// How a method reads reference files: the problem they state, in the kernel's terms. Supplied by the method's plugin;
/// whatever runs the problem builds the method through the same registry and paths as training does.
public struct GoldenReader: Sendable {
  /// Whether the reader is responsible for a file.
  public var reads: @Sendable (GoldenFile) -> Bool
  public var read: @Sendable (GoldenFile) throws(Refusal) -> GoldenProblem

  public init(
    reads: @escaping @Sendable (GoldenFile) -> Bool,
    read: @escaping @Sendable (GoldenFile) throws(Refusal) -> GoldenCase
  ) {
    self.reads = reads
    self.read = { (file) throws(Refusal) in .adapter(try read(file)) }
  }

  public init(
    reads: @escaping @Sendable (GoldenFile) -> Bool,
    compute: @escaping @Sendable (GoldenFile) throws(Refusal) -> GoldenComputation
  ) {
    self.reads = reads
    read = { (file) throws(Refusal) in .computation(try compute(file)) }
  }
}

/// What a reference file is about.
public enum GoldenProblem: Sendable {
  case adapter(GoldenCase)
  case computation(GoldenComputation)
}

/// Results that are no adapter's: the steps of an optimizer, the codes of a quantizer.
public struct GoldenComputation: Sendable {
  /// The optimizer or tool that is checked.
  public var entry: String
  /// What was computed, by the full name that the file states it under.
  public var results: [String: Tensor]
  /// Results the file states and this computation does not check: their full names, each with the reason.
  public var unchecked: [String: String]

  public init(
    entry: String, results: [String: Tensor], unchecked: [String: String] = [:]
  ) {
    self.entry = entry
    self.results = results
    self.unchecked = unchecked
  }
}

/// The problem a reference file states.
public struct GoldenCase: Sendable {
  /// The registry entry that is checked.
  public var entry: String
  /// Its options, by any name the option table knows. Names that only steered the drawing are left out.
  public var options: [String: OptionValue]
  /// The adapted sites in forward order, with their weights [out, in] and biases.
  public var sites: [Site]
  public var weights: [SiteID: Tensor]
  public var biases: [SiteID: Tensor] = [:]
  /// The stored tensors at the point where outputs and gradients were taken.
  public var point: Tensors
  /// The tensors whose change is taken away from the base there.
  public var offset: Tensors?
  /// How x passes through the sites; the default is the one site there is.
  public var forward: @Sendable (_ x: Tensor, _ site: (SiteID, Tensor) -> Tensor) -> Tensor
  /// `<name>` of each `grad.<name>` → the tensor it is the gradient of.
  public var gradients: [String: TensorKey]
  /// State that earlier places of a larger model would have left in the pass.
  public var arrange: @Sendable (Pass) -> Void = { _ in }
  /// Mean gradients of the weights, where the start wants them.
  public var evidence: [SiteID: Tensor] = [:]
  /// Σ xᵀ·x of each site's inputs, and weights before quantization, where the start wants them.
  public var grams: [SiteID: Tensor] = [:]
  public var originals: [SiteID: Tensor] = [:]
  /// The weights that the start looks at, where they are others than those of the point.
  public var startWeights: [SiteID: Tensor]?
  /// The learning rate of a run's first step.
  public var firstRate: Double?
  /// `<name>` of each `initial.<name>` → the same quantity from a start of ours.
  public var initial: [String: @Sendable (GoldenStart) throws(Refusal) -> Tensor] = [:]
  /// Other stated results by their full names in the file.
  public var expected: [String: @Sendable (GoldenStart) throws(Refusal) -> Tensor] = [:]
  /// Results the file states and this case does not check: their full names, each with the reason.
  public var unchecked: [String: String] = [:]

  public init(
    entry: String, options: [String: OptionValue], sites: [Site], weights: [SiteID: Tensor], point: Tensors,
    gradients: [String: TensorKey]
  ) {
    self.entry = entry
    self.options = options
    self.sites = sites
    self.weights = weights
    self.point = point
    self.gradients = gradients
    let only = sites[0].id
    forward = { x, site in site(only, x) }
  }
}

/// A start as made through the registry, for comparison with an oracle's.
public struct GoldenStart: Sendable {
  public var parameterization: any Parameterization
  public var layout: [TensorSpec]
  public var start: Start
  public var weights: [SiteID: Tensor]
  public var biases: [SiteID: Tensor]
  public var sites: [Site]

  public init(
    parameterization: any Parameterization, layout: [TensorSpec], start: Start, weights: [SiteID: Tensor],
    biases: [SiteID: Tensor] = [:], sites: [Site]
  ) {
    self.biases = biases
    self.parameterization = parameterization
    self.layout = layout
    self.start = start
    self.weights = weights
    self.sites = sites
  }

  public var bases: Bases { Bases(weights: weights, biases: biases) }

  /// What some stored tensors do to the weight of a site.
  public func weightChange(_ tensors: Tensors, at site: Site) throws(Refusal) -> WeightChange {
    let prepared = parameterization.projection.prepare(tensors, Moment(), bases)
    return try parameterization.projection.change(at: site, prepared, on: bases[site.id])
  }

  /// ΔW of some stored tensors at a site.
  public func change(_ tensors: Tensors, at site: Site) throws(Refusal) -> Tensor {
    guard let weight = weights[site.id] else { throw Refusal("no weight for \(site.id)") }
    return try weightChange(tensors, at: site).dense(on: weight)
  }
}
