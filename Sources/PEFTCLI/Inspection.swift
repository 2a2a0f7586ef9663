import AdapterFiles
import Files
import JSON
import Models
import Registry
import Training

/// What a file or folder holds, by looking at its headers only.
struct Inspection {
  private var kind: String
  private var path: String
  /// Of tensors in formats of their own: name, type, shape, bytes.
  private var others: [[String]] = []
  /// Facts in order.
  private var facts: [(name: String, value: JSON)] = []
  private var tensors: [TensorEntry] = []
  private var metadata: [String: String] = [:]

  init(file: SafetensorsFile) {
    (kind, path) = ("safetensors", file.path)
    tensors = file.tensors
    metadata = file.metadata
  }

  init(gguf file: GGUFFile) {
    (kind, path) = ("gguf", file.path)
    for (key, value) in file.metadata.sorted(by: { $0.key < $1.key }) {
      if let text = value.text {
        facts.append((key, .string(Self.shortened(text))))
      } else if let number = value.number {
        facts.append((key, .double(number)))
      } else if case .array(let items) = value {
        facts.append((key, .string("\(items.count) values")))
      }
    }
    others = file.tensors.map { tensor in
      ["  \(tensor.name)", "\(tensor.type)", "\(tensor.extents)", Format.bytes(tensor.range.count)]
    }
  }

  init(adapter folder: String) throws(FileError) {
    (kind, path) = ("adapter", folder)
    let config = try TextFile.readJSON(Folder.join(folder, "adapter_config.json"))
    let isMLX = try AdapterFormat(of: folder) == .mlx
    let keys =
      isMLX
      ? ["model", "fine_tune_type", "num_layers", "lora_parameters"]
      : ["peft_type", "task_type", "base_model_name_or_path", "r", "lora_alpha", "target_modules", "bias", "modules_to_save"]
    for key in keys {
      if let value = config[key], !value.isNull { facts.append((key, value)) }
    }
    if let method = config["swift_peft"]?["entry"]?["name"] { facts.append(("method", method)) }
    // Damaged files are shown as far as they go.
    addLabels(try? AdapterReader.labels(of: folder))
    let file = try SafetensorsFile(Folder.join(folder, isMLX ? "adapters.safetensors" : "adapter_model.safetensors"))
    tensors = file.tensors
    metadata = file.metadata
  }

  init(model folder: String) throws(FileError) {
    (kind, path) = ("model", folder)
    let directory = try ModelDirectory(folder)
    let keys = [
      "model_type", "hidden_size", "n_embd", "num_hidden_layers", "n_layer", "num_attention_heads", "n_head",
      "num_key_value_heads", "intermediate_size", "vocab_size", "max_position_embeddings", "n_positions", "tie_word_embeddings",
      "torch_dtype", "dtype", "architectures", "image_size", "patch_size", "projection_dim",
    ]
    for key in keys {
      if let value = directory.config[key], !value.isNull { facts.append((key, value)) }
    }
    addUse(of: folder)
    if directory.config["id2label"] != nil { addLabels(try? ClassLabels(directory)) }
    if let record = try? MergeRecord(in: folder) {
      facts.append(("merged_from", .string(record.base)))
      if let adapter = record.adapter { facts.append(("merged_adapter", .string(adapter))) }
    }
    facts.append(("tokenizer.json", .bool(Folder.isFile(Folder.join(folder, "tokenizer.json")))))
    facts.append(("files", .array(directory.shards.map { .string(Folder.split($0.path).name) })))
    tensors = directory.tensorNames.compactMap { directory.entry($0) }
  }

  /// What the model can be run for, and what is refused of it.
  private mutating func addUse(of folder: String) {
    do {
      let model = try ModelLoader.open(folder)
      facts.append(("tasks", .array(RunFile.Task.all(of: model).map { .string($0.rawValue) })))
      if let texts = model as? any TextModel, Folder.isFile(Folder.join(folder, "tokenizer.json")) {
        _ = try RunSession.tokenizer(of: texts)
      }
    } catch {
      facts.append(("refused", .string("\(error)")))
    }
  }

  private mutating func addLabels(_ labels: ClassLabels?) {
    guard let labels else { return }
    facts.append(("labels", .array(labels.names.map(JSON.string))))
    facts.append(("problem_type", .string(labels.problem.rawValue)))
  }

  init(run folder: String) throws(FileError) {
    (kind, path) = ("run", folder)
    let log = Folder.join(folder, "metrics.jsonl")
    let (losses, evaluations) = (MetricsFile.losses(log), MetricsFile.evaluations(log))
    if let first = losses.first, let last = losses.last {
      facts.append(("steps", .int(last.step)))
      facts.append(("first_loss", .double(first.loss)))
      facts.append(("last_loss", .double(last.loss)))
    }
    if let first = evaluations.first, let last = evaluations.last {
      facts.append(("first_evaluation", .double(first.evaluation.loss)))
      facts.append(("last_evaluation", .double(last.evaluation.loss)))
    }
    let checkpoints = Folder.join(folder, "checkpoints")
    if Folder.isFolder(checkpoints) {
      facts.append(("checkpoints", .array(try Folder.names(in: checkpoints).filter { !$0.hasPrefix(".") }.map { .string($0) })))
    }
    for name in ["adapter", "model"] where Folder.isFolder(Folder.join(folder, name)) {
      facts.append((name, .string(Folder.join(folder, name))))
    }
  }

  var lines: [String] {
    var lines = ["\(kind) \(path)"]
    lines += Format.table(facts.map { ["  \($0.name)", Self.text($0.value)] })
    if !metadata.isEmpty {
      lines += ["", "metadata"]
      lines += Format.table(metadata.sorted { $0.key < $1.key }.map { ["  \($0.key)", Self.shortened($0.value)] })
    }
    if !others.isEmpty { lines += ["", "tensors"] + Format.table(others, right: [3]) }
    guard !tensors.isEmpty else { return lines }
    lines += ["", "tensors"]
    lines += Format.table(
      tensors.map { ["  \($0.name)", $0.dtype.rawValue, "\($0.shape)", Format.bytes($0.range.count)] }, right: [3])
    let count = tensors.reduce(0) { $0 + $1.count }
    let bytes = tensors.reduce(0) { $0 + $1.range.count }
    lines += ["", "\(tensors.count) tensors, \(Format.grouped(count)) numbers, \(Format.bytes(bytes))"]
    return lines
  }

  var json: JSON {
    [
      "kind": .string(kind), "path": .string(path), "facts": .object(facts.map { JSON.Member($0.name, $0.value) }),
      "metadata": .object(metadata.sorted { $0.key < $1.key }.map { JSON.Member($0.key, .string($0.value)) }),
      "numbers": .int(tensors.reduce(0) { $0 + $1.count }), "bytes": .int(tensors.reduce(0) { $0 + $1.range.count }),
      "tensors": .array(
        tensors.map { tensor in
          [
            "name": .string(tensor.name), "dtype": .string(tensor.dtype.rawValue),
            "shape": .array(tensor.shape.map { .int($0) }), "bytes": .int(tensor.range.count),
          ]
        }),
    ]
  }

  private static func text(_ value: JSON) -> String {
    if let text = value.string { return printable(text, limit: 500) }
    if let items = value.array {
      let shown = items.prefix(24).map(text).joined(separator: ", ")
      return items.count > 24 ? "\(shown) and \(items.count - 24) more" : shown
    }
    return value.text()
  }

  private static func shortened(_ text: String) -> String {
    text.count > 100 ? "\(text.prefix(100))… (\(text.utf8.count) bytes)" : text
  }
}
