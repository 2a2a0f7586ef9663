import Engine

/// A parameterization over the chosen sites of one model, with the values of its tensors.
public struct Adapter: Sendable {
  public let parameterization: any Parameterization
  /// The adapted sites in forward order.
  public let sites: [Site]
  public let layout: [TensorSpec]
  /// The maps that it stands beside.
  public let bases: Bases
  /// The stored values.
  public var tensors: Tensors
  /// The tensors whose change is taken away from the base, where the method starts off it.
  public var offset: Tensors?
  /// Tensors of the base that belong to the adapter, by their names there: they stand for the base's own wherever it is attached.
  public var trained: [String: Tensor] = [:]
  /// What the user should know about how it started, in words.
  public var notes: [String] = []

  /// Lays the method out over `sites`, without values. Refuses what the method or its start cannot serve.
  public static func layout(_ parameterization: any Parameterization, over sites: [Site]) throws(Refusal) -> [TensorSpec] {
    try checkTables(parameterization, sites)
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

  /// Refuses tables for methods that change maps only.
  public static func checkTables(_ parameterization: any Parameterization, _ sites: [Site]) throws(Refusal) {
    guard let table = sites.first(where: { $0.kind == .embedding }) else { return }
    guard parameterization.projection.servesTables, parameterization.initialization.servesTables else {
      throw Refusal(
        "this method adapts linear maps only, but \(table.id) is an embedding table", remedy: "leave it out of the targets")
    }
  }

  /// Puts values to a layout; refuses tensors that are missing or of another shape, and an offset where what the method
  /// does is no weight change that could be taken away.
  public init(
    _ parameterization: any Parameterization, sites: [Site], layout: [TensorSpec], tensors: Tensors, offset: Tensors? = nil,
    on bases: Bases
  ) throws(Refusal) {
    try Self.checkTables(parameterization, sites)
    func check(_ tensors: Tensors, _ owner: String) throws(Refusal) {
      for spec in layout {
        guard let tensor = tensors.values[spec.key] else { throw Refusal("the \(owner) lacks the tensor \(spec.key)") }
        guard tensor.shape == spec.shape else {
          throw Refusal(
            "tensor \(spec.key) of the \(owner) has shape \(tensor.shape), but this method on this model needs \(spec.shape)")
        }
      }
      try parameterization.projection.check(tensors, at: sites)
    }
    try check(tensors, "adapter")
    if let offset {
      try check(offset, "adapter's start")
      let start = parameterization.projection.prepare(offset, Moment(), bases)
      for site in sites { _ = try parameterization.projection.change(at: site, start, on: bases[site.id]) }
    }
    self.parameterization = parameterization
    self.sites = sites
    self.layout = layout
    self.bases = bases
    self.tensors = tensors
    self.offset = offset
  }

  /// The layout's trainable tensors.
  public var trainable: [TensorSpec] { layout.filter { parameterization.trainable.contains($0.role) } }

  /// The adapter as the sites use it, for tensors that are ready for a pass.
  public func attached(_ now: Moment = Moment()) -> Attachment { Attachment(self, stored: tensors, now) }

  /// Every weight change of the adapter on top of the untouched base: what merging adds. Refuses input-dependent methods.
  public func change(at site: Site) throws(Refusal) -> WeightChange { try attached().change(at: site) }

  /// The same at every site, computed in `scalar`; what the method prepares is made once.
  public func changes(as scalar: ScalarType) throws(Refusal) -> [(site: Site, change: WeightChange)] {
    func converted(_ tensors: Tensors) -> Tensors { Tensors(tensors.values.mapValues { $0.converted(to: scalar) }) }
    var adapter = self
    adapter.tensors = converted(tensors)
    adapter.offset = offset.map(converted)
    let attachment = adapter.attached()
    var changes: [(Site, WeightChange)] = []
    for site in sites { changes.append((site, try attachment.change(at: site))) }
    return changes
  }

  /// What is taken away from the base, by site; a change at every site, as the initialiser has made sure.
  func taken(_ now: Moment) -> [SiteID: WeightChange] {
    (try? parameterization.taken(offset, sites, bases, now)) ?? [:]
  }

  /// What the method calls its frozen weights: the bases, less what it starts off.
  public func frozenBases(_ now: Moment = Moment()) -> Bases { Bases(bases, less: taken(now)) }
}

extension Bases {
  init(_ bases: Bases, less taken: [SiteID: WeightChange]) {
    self = taken.isEmpty ? bases : Bases { id in taken[id].map { OffsetMap(base: bases[id], offset: $0) } ?? bases[id] }
  }
}

/// An adapter in use: prepared tensors, bound to sites.
public struct Attachment: Sendable {
  public let projection: any Projection
  public let sites: [SiteID: Site]
  /// What `prepare` made; leaves of the passes while training.
  public let prepared: Tensors
  /// Tensors that stand for the base's own, by their names there.
  public let trained: [String: Tensor]
  private let bases: Bases
  private let offset: [SiteID: WeightChange]

  /// `stored` stands for the adapter's values (tracked leaves while training, say).
  public init(_ adapter: Adapter, stored: Tensors, _ now: Moment) {
    let taken = adapter.taken(now)
    let frozen = Bases(adapter.bases, less: taken)
    self.init(adapter, prepared: adapter.parameterization.projection.prepare(stored, now, frozen), taken)
  }

  /// With `prepared` tensors made elsewhere: by the trainer, which differentiates `prepare` once per step.
  public init(_ adapter: Adapter, prepared: Tensors, _ now: Moment) { self.init(adapter, prepared: prepared, adapter.taken(now)) }

  private init(_ adapter: Adapter, prepared: Tensors, _ taken: [SiteID: WeightChange]) {
    projection = adapter.parameterization.projection
    sites = Dictionary(uniqueKeysWithValues: adapter.sites.map { ($0.id, $0) })
    bases = adapter.bases
    self.prepared = prepared
    trained = adapter.trained
    offset = taken
  }

  /// The output at `id` for input `x`, or nil where the adapter does not stand there.
  public func output(at id: SiteID, _ x: Tensor, _ base: any BaseMap, _ pass: Pass) -> Tensor? {
    guard let site = sites[id] else { return nil }
    let base = offset[id].map { OffsetMap(base: base, offset: $0) } ?? base
    return Phase.adapter.spent { projection.output(SiteCall(site: site, input: x, base: base, pass: pass), prepared) }
  }

  /// Rows `indices` of the table at `id`, for `rows` [count, outputs] of the base's; those where the adapter does not stand there.
  public func rows(at id: SiteID, _ indices: [Int32], _ rows: Tensor) -> Tensor {
    guard let site = sites[id], let change = try? projection.change(at: site, prepared, on: bases[id]) else { return rows }
    return Phase.adapter.spent { change.rows(indices, addedTo: rows) }
  }

  /// Every weight change at a site on top of the untouched base. Refuses input-dependent methods.
  public func change(at site: Site) throws(Refusal) -> WeightChange {
    let base = bases[site.id]
    guard let taken = offset[site.id] else { return try projection.change(at: site, prepared, on: base) }
    var change = try projection.change(at: site, prepared, on: OffsetMap(base: base, offset: taken))
    change.chains += taken.chains.filter { !$0.isEmpty }.map { [Negated(map: $0[0])] + $0.dropFirst() }
    if let bias = taken.bias { change.bias = change.bias.map { $0 - bias } ?? bias * -1 }
    return change
  }
}
