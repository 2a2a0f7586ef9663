import Engine
import Files
import JSON
import PEFTKernel

/// The complete state of a run between two steps: a folder that exists whole or not at all.
public enum Checkpoint {
  static let folderName = "checkpoints"

  /// Writes `run/checkpoints/step-N`, whose path is returned, and removes all but the last `keeping` of them.
  @discardableResult
  public static func write(_ trainer: Trainer, to run: String, keeping: Int = 2) throws -> String {
    let folder = Folder.join(run, folderName)
    try Folder.create(folder)
    let target = try AtomicDirectory(
      Folder.join(folder, name(trainer.step)), existing: .replace, owns: { ["state.json", "state.safetensors"].contains($0) })
    try SafetensorsWriter.write(
      trainer.checkpointTensors.map { SafetensorsWriter.Tensor($0.name, $0.tensor) }
        + trainer.state.bytes.map { SafetensorsWriter.Tensor("optimizer." + $0.key, $0.value) },
      to: Folder.join(target.partial, "state.safetensors"))
    let counters = trainer.state.counters.sorted { $0.key < $1.key }.map { JSON.Member($0.key, .int($0.value)) }
    let state: JSON = [
      "step": .int(trainer.step), "steps": .int(trainer.schedule.total), "seed": .string(String(trainer.seed)),
      "optimizer": .object(counters),
      "inputs": .object(try trainer.inputDigests().map { .init($0.name, .string($0.digest)) }),
    ]
    try WholeFile.write(state.text(indented: true) + "\n", to: Folder.join(target.partial, "state.json"))
    try target.commit()
    let names = try Folder.names(in: folder).filter { $0.hasPrefix("step-") }.sorted()
    for old in names.dropLast(keeping) { try Folder.remove(Folder.join(folder, old)) }
    return target.path
  }

  /// The newest complete checkpoint of a run, nil where there is none.
  public static func newest(in run: String) throws -> String? {
    let folder = Folder.join(run, folderName)
    guard Folder.isFolder(folder) else { return nil }
    return try Folder.names(in: folder).filter { $0.hasPrefix("step-") }.max().map { Folder.join(folder, $0) }
  }

  /// Removes every checkpoint of a run.
  static func removeAll(in run: String) throws(FileError) { try Folder.remove(Folder.join(run, folderName)) }

  /// Whether a checkpoint is a run's last: nothing is left to go on with.
  public static func isLast(_ folder: String) -> Bool {
    guard let state = try? TextFile.readJSON(Folder.join(folder, "state.json")), let step = state["step"]?.int,
      let steps = state["steps"]?.int
    else { return false }
    return step >= steps
  }

  /// A checkpoint's tensors and counters.
  struct Contents {
    var step: Int
    var seed: UInt64
    var tensors: [String: Tensor]
    var bytes: [String: [UInt8]]
    var counters: [String: Int]
    /// Fingerprints of what the run was fed with.
    var inputs: [String: String]

    func named(_ prefix: String) -> [String: Tensor] {
      var chosen: [String: Tensor] = [:]
      for (name, tensor) in tensors where name.hasPrefix(prefix) {
        chosen[String(name.dropFirst(prefix.count))] = tensor
      }
      return chosen
    }
  }

  static func read(_ folder: String) throws -> Contents {
    do { return try contents(folder) } catch let error as FileError { throw damaged(folder, error) }
  }

  /// What is wrong with a checkpoint's files, and which older one could be used.
  private static func damaged(_ folder: String, _ error: FileError) -> FileError {
    let (parent, name) = Folder.split(folder)
    let older = (try? Folder.names(in: parent))?.last { $0.hasPrefix("step-") && $0 < name }
    var error = error
    error.what = "the checkpoint \(name) is damaged: \(error.what)"
    error.remedy =
      older.map { "\($0) is kept: remove \(folder) to resume from it" }
      ?? "no older one is kept: remove \(folder) and start the run anew"
    return error
  }

  private static func contents(_ folder: String) throws -> Contents {
    let path = Folder.join(folder, "state.json")
    let state = try TextFile.readJSON(path)
    guard let step = state["step"]?.int, step >= 0, let seed = state["seed"]?.string.flatMap({ UInt64($0) }) else {
      throw FileError(.badData, path, "has no step and seed")
    }
    let file = try SafetensorsFile(Folder.join(folder, "state.safetensors"))
    var tensors: [String: Tensor] = [:]
    var bytes: [String: [UInt8]] = [:]
    for entry in file.tensors {
      if entry.dtype == .u8 {
        bytes[entry.name] = [UInt8](try file.bytes(of: entry.name))
        continue
      }
      tensors[entry.name] =
        entry.dtype == .f64
        ? Tensor(try file.doubles(of: entry.name), shape: entry.shape, .float64)
        : Tensor(try file.floats(of: entry.name), shape: entry.shape)
    }
    var counters: [String: Int] = [:]
    for member in state["optimizer"]?.members ?? [] { counters[member.key] = member.value.int }
    var inputs: [String: String] = [:]
    for member in state["inputs"]?.members ?? [] { inputs[member.key] = member.value.string }
    return Contents(step: step, seed: seed, tensors: tensors, bytes: bytes, counters: counters, inputs: inputs)
  }

  /// The adapter of a checkpoint, laid out as the session says.
  static func adapter(from folder: String, _ session: RunSession) throws -> Adapter {
    let contents = try read(folder)
    let layout = try Adapter.layout(session.parameterization, over: session.sites)
    let offsets = contents.named("offset.")
    var tensors = Tensors()
    var offset = Tensors()
    for spec in layout {
      let name = spec.key.description
      tensors.values[spec.key] = contents.tensors["parameter." + name] ?? contents.tensors["frozen." + name]
      offset.values[spec.key] = offsets[name]
    }
    var adapter = try Adapter(
      session.parameterization, sites: session.sites, layout: layout, tensors: tensors,
      offset: offsets.isEmpty ? nil : offset, on: Bases { [model = session.model] in model.base($0) })
    // The trainer takes their values from the checkpoint with those of all that it trains.
    let names = try session.model.trainedNames(session.parameterization.trainable, at: session.sites)
    adapter.trained = session.model.standing(names)
    return adapter
  }

  /// Names sort in the order of steps.
  private static func name(_ step: Int) -> String {
    let digits = String(step)
    return "step-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
  }
}

extension Trainer {
  /// Every tensor that the next step depends on.
  var checkpointTensors: [(name: String, tensor: Tensor)] {
    let frozen = adapter.layout.filter { !adapter.parameterization.trainable.contains($0.role) }
    return parameters.map { ("parameter." + $0.name, $0.value) } + state.tensors.map { ("optimizer." + $0.key, $0.value) }
      + frozen.map { ("frozen." + $0.key.description, adapter.tensors[$0.key]) }
      + (adapter.offset?.values ?? [:]).map { ("offset." + $0.key.description, $0.value) }
  }

  /// Goes on from a checkpoint, bit for bit as if the run had never stopped. Refuses one that does not fit.
  public func restore(from folder: String) throws {
    let contents = try Checkpoint.read(folder)
    guard contents.seed == seed else {
      throw Refusal("the checkpoint was made with seed \(contents.seed), but the run file says \(seed)")
    }
    for (name, digest) in try inputDigests() where contents.inputs[name].map({ $0 != digest }) == true {
      throw Refusal(
        "the \(name) changed since the checkpoint \(folder) was made", remedy: "restore it as it was, or start a new run")
    }
    try restore(
      step: contents.step, parameters: contents.named("parameter."), optimizer: contents.named("optimizer."),
      bytes: contents.bytes.reduce(into: [:]) { $0[String($1.key.dropFirst("optimizer.".count))] = $1.value },
      counters: contents.counters)
  }
}

extension Trainer {
  /// Fingerprints of the training data and the base: with others a run cannot go on as if it had never stopped.
  func inputDigests() throws(FileError) -> [(name: String, digest: String)] {
    let data = ("training data", dataDigest)
    // A model that was drawn follows from config and seed.
    return model.directory.tensorNames.isEmpty ? [data] : [data, ("base model", try model.directory.digest())]
  }
}

extension SafetensorsWriter.Tensor {
  init(_ name: String, _ bytes: [UInt8]) {
    self.init(name: name, dtype: .u8, shape: [bytes.count]) { (sink) throws(FileError) in
      var failure: FileError?
      bytes.withUnsafeBytes { bytes in
        do throws(FileError) { try sink(bytes) } catch { failure = error }
      }
      if let failure { throw failure }
    }
  }

  /// A tensor as it is in memory, in its own scalar.
  init(_ name: String, _ tensor: Engine.Tensor) {
    self.init(name: name, dtype: tensor.scalar == .float32 ? .f32 : .f64, shape: tensor.shape) { (sink) throws(FileError) in
      var failure: FileError?
      tensor.withUnsafeBytes { bytes in
        do throws(FileError) { try sink(bytes) } catch { failure = error }
      }
      if let failure { throw failure }
    }
  }
}
