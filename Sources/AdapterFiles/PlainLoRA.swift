import Engine
import Files
import Models
import PEFTKernel
import Registry

/// A plain LoRA, or its DoRA form, as files of other programs give it: factors and scales by site.
struct PlainLoRA {
  struct Part {
    var site: Site
    /// A [rank, inputs] and B [outputs, rank].
    var down: Tensor
    var up: Tensor
    var scale: Double
    /// DoRA's lengths [outputs].
    var magnitude: Tensor?
  }

  /// The file it comes from, for messages.
  var path: String
  var parts: [Part]
  var dropout = 0.0
  var notes: [String] = []

  /// Refuses a model that mlx-lm has none of: it reads and writes language models only.
  static func checkMLX(_ model: any Model) throws(Refusal) {
    guard !(model is any LanguageModel) else { return }
    throw Refusal(
      "mlx-lm has no \(model.modelType) models: it knows language models only", remedy: "use PEFT's layout, or merge the adapter")
  }

  /// The adapter, by the entry of the registry that PEFT's layout would give it.
  func adapter(for model: any Model, registry: MethodRegistry) throws -> StoredAdapter {
    let dialect = parts.contains { $0.magnitude != nil } ? PEFTDialect.dora : PEFTDialect.lora
    let parts = model.adaptable.compactMap { site in self.parts.first { $0.site == site } }
    guard let first = parts.first else { throw FileError(.badData, path, "adapts nothing") }
    let (rank, alpha) = (first.down.rows, first.scale * Double(first.down.rows))
    var (ranks, alphas): ([String: OptionValue], [String: OptionValue]) = ([:], [:])
    for part in parts {
      if part.down.rows != rank { ranks[part.site.id.path] = .int(part.down.rows) }
      let own = part.scale * Double(part.down.rows)
      if own != alpha { alphas[part.site.id.path] = .double(own) }
    }
    var options = dialect.implied
    options.merge([
      "r": .int(rank), "lora_alpha": .double(alpha), "lora_dropout": .double(dropout), "use_rslora": .bool(false),
    ]) { $1 }
    if !ranks.isEmpty { options["rank_pattern"] = .map(ranks) }
    if !alphas.isEmpty { options["alpha_pattern"] = .map(alphas) }
    if dialect.key == PEFTDialect.lora.key, parts.contains(where: { $0.down.rows > min($0.site.inputs, $0.site.outputs) }) {
      options["allow_excess_rank"] = .bool(true)
    }
    let given = options
    return try told { () throws(Refusal) in
      let name = try PEFTImport.entryName(dialect.key, registry)
      let entry = try registry.entry(name, overriding: given)
      let assembly = try registry.assemble(entry)
      let sites = parts.map(\.site)
      let bases = Bases { model.base($0) }
      let layout = try assembly.projection.layout(of: sites)
      var tensors = Tensors()
      for site in sites {
        tensors.values.merge(
          try assembly.projection.derive(layout.filter { $0.key.scope == .site(site.id) }, at: site, on: bases[site.id]).values
        ) { $1 }
      }
      for part in parts {
        let names = PEFTConfig.factors(at: part.site)
        tensors[names.down, part.site.id] = part.down
        tensors[names.up, part.site.id] = part.up
        if let magnitude = part.magnitude { tensors["lora_magnitude_vector", part.site.id] = magnitude }
      }
      let adapter = try Adapter(assembly, sites: sites, layout: layout, tensors: tensors, on: bases)
      return StoredAdapter(adapter: adapter, entry: entry, notes: notes, origin: nil)
    }
  }

  private func told<Value>(_ body: () throws(Refusal) -> Value) throws(FileError) -> Value {
    do throws(Refusal) { return try body() } catch {
      throw FileError(.badData, path, error.reason, remedy: error.remedy.isEmpty ? nil : error.remedy)
    }
  }
}

extension PlainLoRA {
  /// The parts of an adapter that can be written as plain factors, or as DoRA where that is asked for and the adapter is just that.
  /// Refuses what neither can say, by name.
  init(
    _ adapter: Adapter, of model: any Model, rank: Int?, format: AdapterFormat, report: inout LoRAConversion.Report?
  ) throws(Refusal) {
    path = ""
    let name = format == .gguf ? "GGUF" : "mlx-lm's layout"
    if let trained = adapter.trained.keys.min() {
      throw Refusal(
        "\(name) has no place for \(trained), which is trained in full", remedy: "merge the adapter, or write it for PEFT")
    }
    let isDoRA = adapter.layout.contains { $0.role == .magnitude && $0.key.name == "lora_magnitude_vector" }
    if isDoRA, format == .gguf, rank == nil {
      throw Refusal("GGUF has no place for the lengths of DoRA's rows", remedy: "merge the adapter, or give a rank (--rank)")
    }
    if isDoRA, adapter.offset == nil, rank == nil {
      parts = adapter.sites.compactMap { site in
        guard let down = adapter.tensors.optional("lora_A.weight", site.id),
          let up = adapter.tensors.optional("lora_B.weight", site.id),
          let magnitude = adapter.tensors.optional("lora_magnitude_vector", site.id)
        else { return nil }
        return Part(
          site: site, down: down, up: up, scale: adapter.parameterization.projection.scale(at: site), magnitude: magnitude)
      }
      if parts.count == adapter.sites.count { return }
    }
    if let table = adapter.sites.first(where: { $0.kind == .embedding }), model.sharedHead != nil {
      throw Refusal(
        "\(name) means the head as well with \(table.id), which is the same table here",
        remedy: "merge the adapter, or write it for PEFT")
    }
    let conversion = try LoRAConversion([WeightedAdapter(adapter)], order: model.adaptable, rank: rank)
    report = conversion.report
    if let biased = conversion.sites.first(where: { $0.bias != nil }) {
      throw Refusal(
        "\(name) has no place for the bias that the adapter adds at \(biased.site.id)",
        remedy: "merge the adapter, or write it for PEFT")
    }
    parts = conversion.sites.map { Part(site: $0.site, down: $0.down, up: $0.up, scale: $0.scale) }
  }
}

extension Tensor {
  /// The numbers as a file's floats. Refuses what single precision cannot hold.
  func storable(_ name: String) throws(Refusal) -> [Float] {
    let values = floats
    guard values.allSatisfy(\.isFinite) else { throw Refusal("\(name) is not finite in F32") }
    return values
  }
}
