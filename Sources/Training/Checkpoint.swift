import Engine
import Files
import JSON
import PEFTKernel

/// The complete state of a run between two steps: a folder that exists whole or not at all.
public enum Checkpoint {
  static let folderName = "checkpoints"

  /// Writes `run/checkpoints/step-N` and removes all but the last `keeping` of them.
  public static func write(_ trainer: Trainer, to run: String, keeping: Int = 2) throws {
    let folder = Folder.join(run, folderName)
    try Folder.create(folder)
    let target = try AtomicDirectory(Folder.join(folder, name(trainer.step)), existing: .replace)
    try SafetensorsWriter.write(
      trainer.checkpointTensors.map { SafetensorsWriter.Tensor($0.name, $0.tensor) },
      to: Folder.join(target.partial, "state.safetensors"))
    let counters = trainer.state.counters.sorted { $0.key < $1.key }.map { JSON.Member($0.key, .int($0.value)) }
    let state: JSON = ["step": .int(trainer.step), "seed": .string(String(trainer.seed)), "optimizer": .object(counters)]
    try WholeFile.write(state.text(indented: true) + "\n", to: Folder.join(target.partial, "state.json"))
    try target.commit()
    let names = try Folder.names(in: folder).filter { $0.hasPrefix("step-") }.sorted()
    for old in names.dropLast(keeping) { try Folder.remove(Folder.join(folder, old)) }
  }

  /// The newest complete checkpoint of a run, nil where there is none.
  public static func newest(in run: String) throws -> String? {
    let folder = Folder.join(run, folderName)
    guard Folder.isFolder(folder) else { return nil }
    return try Folder.names(in: folder).filter { $0.hasPrefix("step-") }.max().map { Folder.join(folder, $0) }
  }

  /// A checkpoint's tensors and counters.
  struct Contents {
    var step: Int
    var seed: UInt64
    var tensors: [String: Tensor]
    var counters: [String: Int]

    func named(_ prefix: String) -> [String: Tensor] {
      var chosen: [String: Tensor] = [:]
      for (name, tensor) in tensors where name.hasPrefix(prefix) {
        chosen[String(name.dropFirst(prefix.count))] = tensor
      }
      return chosen
    }
  }

  static func read(_ folder: String) throws -> Contents {
    let path = Folder.join(folder, "state.json")
    let state = try TextFile.readJSON(path)
    guard let step = state["step"]?.int, step >= 0, let seed = state["seed"]?.string.flatMap({ UInt64($0) }) else {
      throw FileError(.badData, path, "has no step and seed", remedy: "resume from another checkpoint")
    }
    let file = try SafetensorsFile(Folder.join(folder, "state.safetensors"))
    var tensors: [String: Tensor] = [:]
    for entry in file.tensors {
      tensors[entry.name] =
        entry.dtype == .f64
        ? Tensor(try file.doubles(of: entry.name), shape: entry.shape, .float64)
        : Tensor(try file.floats(of: entry.name), shape: entry.shape)
    }
    var counters: [String: Int] = [:]
    for member in state["optimizer"]?.members ?? [] { counters[member.key] = member.value.int }
    return Contents(step: step, seed: seed, tensors: tensors, counters: counters)
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
    return try Adapter(
      session.parameterization, sites: session.sites, layout: layout, tensors: tensors,
      offset: offsets.isEmpty ? nil : offset)
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
    try restore(
      step: contents.step, parameters: contents.named("parameter."), optimizer: contents.named("optimizer."),
      counters: contents.counters)
  }
}

extension SafetensorsWriter.Tensor {
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
