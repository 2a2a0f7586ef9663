import Engine
import Files
import PEFTKernel

/// The tensors of an adapter file, checked against the layout they are for.
struct AdapterTensors {
  private(set) var values = Tensors()
  private(set) var offset: Tensors?
  /// Tensors of the base, by their names there.
  private(set) var trained: [String: Tensor] = [:]
  /// Canonical name → name in the file.
  let names: [String: String]
  /// Tensors of the file that follow from others.
  let redundant: [String]
  /// How many tensors follow from the options and were not in the file; nil where there are none.
  private(set) var made: Int?

  init(
    _ weights: SafetensorsFile, _ layout: [TensorSpec], _ spelled: AdapterNames, hasOffset: Bool, _ said: Dialect?,
    copies: Set<String> = [], derived: Tensors = Tensors(), trained: [TrainedTensor] = [], ignoresExtra: Bool = false
  ) throws(FileError) {
    var wanted: [(name: String, spec: TensorSpec, isOffset: Bool)] = layout.map { (spelled.canonical($0.key), $0, false) }
    var known = KnownTensors(layout.map { spelled.all($0.key) } + trained.map(\.names))
    if hasOffset {
      for spec in layout where spec.keep == .stored {
        wanted.append((spelled.offset(spec.key), spec, true))
        known.add(spelled.all(offset: spec.key))
      }
    }
    let (names, unknown) = try known.matched(weights.tensors.map(\.name), path: weights.path)
    let repeated = try RepeatedTensors(said?.repeated ?? [], layout, names, unknown, weights)
    self.names = repeated.names
    let endings = (said?.redundant ?? []).union(said?.repeated ?? [])
    let redundant = unknown.filter { name in
      ignoresExtra || copies.contains(name) || repeated.names.values.contains(name)
        || endings.contains { name.hasSuffix("." + $0) || name.contains(".\($0).") }
    }
    self.redundant = redundant.filter { !repeated.names.values.contains($0) }
    let extra = unknown.filter { !redundant.contains($0) }
    let missing = wanted.filter { self.names[$0.name] == nil && !$0.spec.isMade }.map(\.name)
    try Self.refuse(extra: extra, missing: missing + trained.map(\.canonical).filter { names[$0] == nil }, weights)
    for part in trained {
      guard let stored = names[part.canonical] else { continue }
      self.trained[part.name] = try Self.tensor(stored, part.shape, weights)
    }

    var offset = Tensors()
    // What is in the file first: whoever writes sizes into a config must have tensors to match before any are made of them.
    let inOrder = wanted.filter { self.names[$0.name] != nil } + wanted.filter { self.names[$0.name] == nil }
    for (name, spec, isOffset) in inOrder {
      let tensor: Tensor
      if let stored = self.names[name] {
        tensor = try Self.tensor(stored, spec.shape, weights, isIndex: spec.role == .index)
      } else if let value = derived.values[spec.key] {
        tensor = value
        made = (made ?? 0) + 1
      } else {
        var unused = Philox(key: 0)
        tensor = spec.fill.tensor(spec.shape, &unused)
        made = (made ?? 0) + 1
      }
      if isOffset { offset[spec.key] = tensor } else { values[spec.key] = tensor }
    }
    guard hasOffset else { return }
    for spec in layout where spec.isMade { offset[spec.key] = values[spec.key] }
    self.offset = offset
  }

  private static func refuse(extra: [String], missing: [String], _ weights: SafetensorsFile) throws(FileError) {
    let count = weights.tensors.count
    guard extra.isEmpty else {
      throw FileError(
        .badData, weights.path, "has no place for \(AdapterNames.listed(extra))",
        cause: extra.count == count
          ? "none of its \(count) tensors belongs to this model and config"
          : "\(extra.count) of its \(count) tensors belong to no site that the config chooses"
            + (missing.isEmpty ? "" : ", and \(AdapterNames.listed(missing)) are missing"),
        remedy: "check that config, tensors and base belong together")
    }
    guard missing.isEmpty else {
      throw FileError(
        .badData, weights.path, "lacks \(AdapterNames.listed(missing))",
        cause: "the config calls for \(count + missing.count) tensors, the file has \(count)",
        remedy: "check that config, tensors and base belong together")
    }
  }

  private static func tensor(
    _ name: String, _ shape: [Int], _ weights: SafetensorsFile, isIndex: Bool = false
  ) throws(FileError) -> Tensor {
    guard let entry = weights.entry(name) else { throw FileError(.badData, weights.path, "has no tensor '\(printable(name))'") }
    guard entry.shape == shape else {
      throw FileError(
        .badData, weights.path, "tensor '\(printable(name))' has shape \(entry.shape)",
        cause: "config and base call for \(shape)",
        remedy: "check the rank, and that the adapter belongs to this base")
    }
    guard isIndex || !entry.dtype.isInteger else {
      throw FileError(
        .badData, weights.path, "tensor '\(printable(name))' is \(entry.dtype.rawValue) where floating numbers are wanted")
    }
    let floats = try weights.floats(of: name)
    guard let wrong = floats.firstIndex(where: { !$0.isFinite }) else { return Tensor(floats, shape: entry.shape) }
    throw FileError(
      .badData, weights.path, "tensor '\(printable(name))' is not finite",
      cause: "\(floats[wrong]) at \(wrong) of \(floats.count)",
      remedy: "use a checkpoint from before the run diverged")
  }
}

/// A tensor of the base that a file holds for its adapter.
struct TrainedTensor {
  /// What the base calls it.
  var name: String
  /// What files may call it, that which is written first.
  var names: [String]
  var shape: [Int]

  var canonical: String { names.first ?? name }
}

extension TensorSpec {
  /// Whether the values follow from the options alone, or from the base, so that files need not hold them.
  var isMade: Bool {
    if keep == .derived { return true }
    guard keep == .seeded, case .computed = fill else { return false }
    return true
  }
}
