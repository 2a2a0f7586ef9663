import PEFTKernel
import YAML

extension RunFile {
  /// The file as it was understood: every key with its value, the method in full, paths absolute. Reads back equal.
  public var resolvedText: String { node.yaml() }

  private var node: YAMLNode {
    var fields: [(String, YAMLNode)] = [("base_model", .string(baseModel)), ("from_scratch", .bool(fromScratch))]
    func add(_ key: String, _ node: YAMLNode?) { if let node { fields.append((key, node)) } }
    add("task", .string(task.rawValue))
    add("labels", labels.map { .sequence($0.map(YAMLNode.string)) })
    if task == .sentenceEmbedding { add("embedding", embedding.node) }
    add("init_adapter", initAdapter.map(YAMLNode.string))
    add("method", method?.node)
    add("target_modules", targetModules?.node)
    add("exclude_modules", excludeModules?.node)
    add("layers_to_transform", layersToTransform.map { .sequence($0.map(YAMLNode.int)) })
    add("modules_to_save", modulesToSave.map { .sequence($0.map(YAMLNode.string)) })
    add("data", data.node(for: task))
    add("optimizer", optimizer.node)
    add("epochs", epochs.map(YAMLNode.int))
    add("steps", steps.map(YAMLNode.int))
    add("batch_size", .int(batchSize))
    add("gradient_accumulation", .int(gradientAccumulation))
    add("activation_checkpointing", .bool(activationCheckpointing))
    add("clip_grad_norm", clipGradNorm.map(YAMLNode.double) ?? .null)
    add("seed", .int(Int(seed)))
    add("eval_every", evalEvery.map(YAMLNode.int))
    add("save_every", saveEvery.map(YAMLNode.int))
    add("output_dir", .string(outputDir))
    add("samples", samples?.node)
    return .mapping(fields)
  }
}

extension TargetSelector.Targets {
  var node: YAMLNode {
    switch self {
    case .allLinear: .string(TargetSelector.allLinear)
    case .pattern(let pattern): .string(pattern)
    case .names(let names): .sequence(names.map(YAMLNode.string))
    }
  }
}

extension RunFile.EmbeddingSettings {
  var node: YAMLNode {
    .mapping((pooling.map { [("pooling", .string($0.rawValue))] } ?? []) + [("scale", .double(scale))])
  }
}

extension RunFile.DataSettings {
  func node(for task: RunFile.Task) -> YAMLNode {
    var fields: [(String, YAMLNode)] = []
    if let train { fields.append(("train", .string(train))) }
    if let tokens { fields.append(("tokens", .string(tokens))) }
    if let valid { fields.append(("valid", .string(valid))) }
    if let test { fields.append(("test", .string(test))) }
    if let split {
      fields.append(
        ("split", .mapping([("valid", .double(split.valid)), ("test", .double(split.test)), ("seed", .int(Int(split.seed)))])))
    }
    if let shots { fields.append(("shots", .int(shots))) }
    if task == .imageTextClassification { fields.append(("prompt_template", .string(promptTemplate))) }
    if task.readsTexts, tokens == nil || valid != nil || test != nil { fields.append(("format", .string(format.rawValue))) }
    if task == .causalLM { fields.append(("loss_on", .string(lossOn.rawValue))) }
    if let chatTemplate { fields.append(("chat_template", chatTemplate.node)) }
    if !chatTemplateArguments.isEmpty { fields.append(("chat_template_kwargs", OptionValue.map(chatTemplateArguments).node)) }
    if let maxSeqLen { fields.append(("max_seq_len", .int(maxSeqLen))) }
    // Token ids are learned as they stand.
    guard tokens == nil else { return .mapping(fields) }
    if task == .causalLM { fields.append(("packing", .bool(packing))) }
    return .mapping(fields + [("shuffle", .bool(shuffle)), ("group_by_length", .bool(groupByLength))])
  }
}

extension RunFile.DataSettings.Template {
  var node: YAMLNode {
    var fields: [(String, YAMLNode)] = [("begin", .string(begin))]
    if let defaultSystem { fields.append(("default_system", .string(defaultSystem))) }
    for role in Self.roles {
      guard let turn = turns[role] else { continue }
      fields.append((role, .mapping([("before", .string(turn.before)), ("after", .string(turn.after))])))
    }
    return .mapping(fields)
  }
}

extension RunFile.OptimizerSettings {
  var node: YAMLNode {
    .mapping(
      [
        ("name", .string(name)), ("lr", .double(lr)), ("schedule", .string(schedule.rawValue)), ("warmup", .double(warmup)),
        ("min_lr_ratio", .double(minLRRatio)),
      ] + options.sorted { $0.key < $1.key }.map { ($0.key, $0.value.node) })
  }
}

extension RunFile.SampleSettings {
  var node: YAMLNode {
    .mapping([
      ("prompts", .sequence(prompts.map(YAMLNode.string))), ("max_new_tokens", .int(maxNewTokens)),
      ("temperature", .double(temperature)), ("top_p", .double(topP)),
    ])
  }
}
