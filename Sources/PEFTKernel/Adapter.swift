import Engine

/// A parameterization over the chosen sites of one model, with the values of its tensors.
public struct Adapter: Sendable {
  public let parameterization: any Parameterization
  /// The adapted sites in forward order.
  public let sites: [Site]
  public let layout: [TensorSpec]
  /// The stored values.
  public var tensors: Tensors
  /// The tensors whose change is taken away from the base, where the method starts off it.
  public var offset: Tensors?
  /// What the user should know about how it started, in words.
  public var notes: [String] = []

  /// Lays the method out over `sites`, without values. Refuses what the method or its start cannot serve.
  public static func layout(_ parameterization: any Parameterization, over sites: [Site]) throws(Refusal) -> [TensorSpec] {
    let layout = try parameterization.projection.layout(of: sites)
    for spec in layout {
      var count = 1
      for extent in spec.shape { count = count.multipliedReportingOverflow(by: extent).overflow ? .max : count * extent }
      // Products and decompositions count in 32 bits.
      guard count <= Int(Int32.max) else {
        throw Refusal(
          "tensor \(spec.key) would have the shape \(spec.shape), more than \(Int32.max) numbers",
          remedy: "use smaller options, the rank above all")
      }
    }
    try parameterization.initialization.check(layout, sites, parameterization.projection)
    return layout
  }

  /// Puts values to a layout; refuses tensors that are missing or of another shape, and an offset where what the method
  /// does is no weight change that could be taken away.
  public init(
    _ parameterization: any Parameterization, sites: [Site], layout: [TensorSpec], tensors: Tensors, offset: Tensors? = nil
  ) throws(Refusal) {
    func check(_ tensors: Tensors, _ owner: String) throws(Refusal) {
      for spec in layout {
        guard let tensor = tensors.values[spec.key] else { throw Refusal("the \(owner) lacks the tensor \(spec.key)") }
        guard tensor.shape == spec.shape else {
          throw Refusal(
            "tensor \(spec.key) of the \(owner) has shape \(tensor.shape), but this method on this model needs \(spec.shape)")
        }
      }
      try parameterization.projection.check(tensors)
    }
    try check(tensors, "adapter")
    if let offset {
      try check(offset, "adapter's start")
      let start = parameterization.projection.prepare(offset, Moment())
      for site in sites { _ = try parameterization.projection.change(at: site, start) }
    }
    self.parameterization = parameterization
    self.sites = sites
    self.layout = layout
    self.tensors = tensors
    self.offset = offset
  }

  /// The layout's trainable tensors.
  public var trainable: [TensorSpec] { layout.filter { parameterization.trainable.contains($0.role) } }

  /// The adapter as the sites use it, for tensors that are ready for a pass.
  public func attached(_ now: Moment = Moment()) -> Attachment { Attachment(self, stored: tensors, now) }

  /// Every weight change of the adapter on top of the untouched base: what merging adds. Refuses input-dependent methods.
  public func change(at site: Site) throws(Refusal) -> WeightChange {
    try change(at: site, prepared(tensors), prepared(offset))
  }

  /// The same at every site, computed in `scalar`; what the method prepares is made once.
  public func changes(as scalar: ScalarType) throws(Refusal) -> [(site: Site, change: WeightChange)] {
    func converted(_ tensors: Tensors) -> Tensors { Tensors(tensors.values.mapValues { $0.converted(to: scalar) }) }
    let now = prepared(converted(tensors))
    let start = prepared(offset.map(converted))
    var changes: [(Site, WeightChange)] = []
    for site in sites { changes.append((site, try change(at: site, now, start))) }
    return changes
  }

  private func prepared(_ stored: Tensors) -> Tensors { parameterization.projection.prepare(stored, Moment()) }
  private func prepared(_ stored: Tensors?) -> Tensors? { stored.map { prepared($0) } }

  private func change(at site: Site, _ now: Tensors, _ start: Tensors?) throws(Refusal) -> WeightChange {
    let projection = parameterization.projection
    var change = try projection.change(at: site, now)
    guard let start else { return change }
    let taken = try projection.change(at: site, start)
    change.chains += taken.chains.filter { !$0.isEmpty }.map { [Negated(map: $0[0])] + $0.dropFirst() }
    if let bias = taken.bias { change.bias = change.bias.map { $0 - bias } ?? bias * -1 }
    return change
  }
}

/// An adapter in use: prepared tensors, bound to sites.
public struct Attachment: Sendable {
  public let projection: any Projection
  public let sites: [SiteID: Site]
  /// What `prepare` made; leaves of the passes while training.
  public let prepared: Tensors
  /// What is taken away from the base; a change at every site, as the adapter's initialiser has made sure.
  private let offset: [SiteID: WeightChange]

  /// `stored` stands for the adapter's values (tracked leaves while training, say).
  public init(_ adapter: Adapter, stored: Tensors, _ now: Moment) {
    let projection = adapter.parameterization.projection
    self.init(adapter, prepared: projection.prepare(stored, now), now)
  }

  /// With `prepared` tensors made elsewhere: by the trainer, which differentiates `prepare` once per step.
  public init(_ adapter: Adapter, prepared: Tensors, _ now: Moment) {
    projection = adapter.parameterization.projection
    sites = Dictionary(uniqueKeysWithValues: adapter.sites.map { ($0.id, $0) })
    self.prepared = prepared
    var changes: [SiteID: WeightChange] = [:]
    if let offset = adapter.offset {
      let start = projection.prepare(offset, now)
      for site in adapter.sites { changes[site.id] = try? projection.change(at: site, start) }
    }
    offset = changes
  }

  /// The output at `id` for input `x`, or nil where the adapter does not stand there.
  public func output(at id: SiteID, _ x: Tensor, _ base: any BaseMap, _ pass: Pass) -> Tensor? {
    guard let site = sites[id] else { return nil }
    let base = offset[id].map { OffsetMap(base: base, offset: $0) } ?? base
    return projection.output(SiteCall(site: site, input: x, base: base, pass: pass), prepared)
  }
}

/// A map with its sign turned.
struct Negated: LinearMap {
  let map: any LinearMap

  var outputs: Int { map.outputs }
  var inputs: Int { map.inputs }
  func apply(_ x: Tensor) -> Tensor { map.apply(x) * -1 }
  func apply(_ x: Tensor, addedTo base: consuming Tensor) -> Tensor { map.apply(x, subtractedFrom: base) }
  func apply(_ x: Tensor, subtractedFrom base: consuming Tensor) -> Tensor { map.apply(x, addedTo: base) }
  func dense() -> Tensor { map.dense() * -1 }
  var scaled: (factor: Double, matrix: Tensor) {
    let (factor, matrix) = map.scaled
    return (-factor, matrix)
  }
}
