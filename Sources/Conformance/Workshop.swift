import Blocks
import Engine
import Files
import JSON
import Models
import PEFTKernel
import Registry
import Training

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A method on a small transformer with three layers, and a few sequences to learn by heart.
struct Workshop {
  let assembly: Assembly
  /// The peak rate of its trainers.
  let learningRate: Double
  let model: any LanguageModel
  /// Stands for the model before quantization, for starts that ask for one.
  private let original: (any LanguageModel)?
  let sites: [Site]
  let examples: [Example]

  private static let config: JSON = [
    "model_type": "llama", "vocab_size": 24, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3,
    "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 16, "initializer_range": 0.2,
    "rms_norm_eps": 1e-5, "tie_word_embeddings": false,
  ]

  init(_ trial: Trial) throws { try self.init(trial.entry, trial.assembly, learningRate: trial.method.learningRate) }

  init(_ entry: MethodEntry, _ assembly: Assembly, learningRate: Double = 1e-2) throws {
    self.assembly = assembly
    self.learningRate = learningRate
    model = try Self.fresh(seed: 5)
    original = assembly.initialization.wants.original ? try Self.fresh(seed: 6) : nil
    sites = entry.hasAdapter ? try entry.defaultTargets.select(from: model.sites) : []
    var random = Philox(key: 6)
    let vocabulary = model.vocabularySize
    examples = (0..<4).map { _ in Example(ids: (0..<8).map { _ in Int32(random.integer(below: vocabulary)) }) }
  }

  private static func fresh(seed: UInt64) throws -> any LanguageModel {
    try ScratchFolder.using { folder in
      try WholeFile.write(config.text(indented: true), to: Folder.join(folder, "config.json"))
      return try ModelLoader.fresh(config: folder, seed: seed)
    }
  }

  /// The adapter at step 0, as training starts it.
  func adapter(seed: UInt64 = 7) throws -> Adapter {
    try EvidenceStage(
      assembly, sites: sites, for: NextTokens(model), examples: examples, seed: seed, origin: original.map { NextTokens($0) }, firstRate: 0.01
    ).start()
  }

  /// An adapter off its start.
  func movedAdapter(seed: UInt64 = 7) throws -> Adapter {
    var adapter = try adapter(seed: seed)
    for spec in adapter.trainable {
      var random = Philox(key: seed).stream("moved").stream(spec.key.description)
      adapter.tensors[spec.key] = adapter.tensors[spec.key] + random.normal(spec.shape, deviation: 0.1)
    }
    return adapter
  }

  func trainer(
    _ adapter: Adapter, _ rule: any UpdateRule = AdamW(), batchSize: Int = 2, accumulation: Int = 1,
    activations: Activations = .kept
  ) throws -> Trainer {
    let batches = BatchPlan(examples, batchSize: batchSize, accumulation: accumulation, shuffles: false, seed: 8)
    return try Trainer(
      NextTokens(model), adapter: adapter, batches: batches, optimizer: rule, peakRate: learningRate,
      schedule: Schedule(total: 20), clipNorm: nil, seed: 9, activations: activations)
  }

  /// The logits of all sequences, with or without an adapter.
  func logits(_ adapter: Adapter?, merged: [String: Tensor] = [:]) -> Tensor {
    let batch = Batch(examples)
    let pass = Pass(now: Moment(), rows: batch.rows, sites: sites)
    let run = ModelRun(pass: pass, attachment: adapter?.attached(), trained: merged)
    return model.logits(model.hidden(batch.ids, run), run)
  }

  /// Whether the method's sites add to the loss.
  func penalizes(_ adapter: Adapter) -> Bool {
    let batch = Batch(examples)
    let pass = Pass(now: Moment(), rows: batch.rows, sites: sites)
    _ = model.hidden(batch.ids, ModelRun(pass: pass, attachment: adapter.attached()))
    return !pass.penalties.isEmpty
  }

  /// Mean loss of all sequences; what is no number is for the laws to judge.
  func loss(_ trainer: Trainer) -> Double {
    Evaluation.of(NextTokens(model), adapter: trainer.adapter, trained: trainer.trainedBase, examples).loss
  }
}

extension Tensors {
  /// The same values in memory of their own.
  var copied: Tensors { Tensors(values.mapValues { $0.copied() }) }
}

/// A folder that is gone when the work in it is done.
enum ScratchFolder {
  static func using<R>(_ body: (String) throws -> R) throws -> R {
    let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    let folder = Folder.join(parent, "peft-conformance-\(getpid())-\(UInt64.random(in: 0 ... .max))")
    try Folder.create(folder)
    defer { try? Folder.remove(folder) }
    return try body(folder)
  }
}
