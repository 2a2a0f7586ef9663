import JSON
import PEFTKernel
import YAML

extension MethodEntry {
  /// The entry in full, as a file in `methods/` could have it.
  var node: YAMLNode {
    var fields: [(String, YAMLNode)] = [("name", .string(name))]
    if let paper { fields.append(("paper", .string(paper))) }
    if let summary { fields.append(("summary", .string(summary))) }
    fields.append(("projection", projection.node))
    fields.append(("init", initialization.node))
    fields.append(("trainable", .sequence(trainable.words.map(YAMLNode.string))))
    fields.append(("targets", .sequence(targets.map(YAMLNode.string))))
    fields.append(("optimizer", optimizer.node))
    if let peftType { fields.append(("peft_type", .string(peftType))) }
    return .mapping(fields)
  }
}

extension Choice {
  var node: YAMLNode {
    .mapping([("use", .string(name))] + options.sorted { $0.key < $1.key }.map { ($0.key, $0.value.node) })
  }
}

extension OptimizerChoice {
  var node: YAMLNode {
    .mapping(
      [("name", .string(name))] + (learningRate.map { [("lr", .double($0))] } ?? [])
        + options.sorted { $0.key < $1.key }.map { ($0.key, $0.value.node) })
  }
}

extension JSON {
  init(_ node: YAMLNode) {
    switch node.kind {
    case .sequence(let items): self = .array(items.map { JSON($0) })
    case .mapping(let entries): self = .object(entries.map { Member($0.key.text ?? "", JSON($0.value)) })
    case .scalar:
      switch node.scalar {
      case .bool(let value): self = .bool(value)
      case .int(let value): self = .int(value)
      case .double(let value): self = .double(value)
      case .string(let value): self = .string(value)
      default: self = .null
      }
    }
  }
}

extension YAMLNode {
  init(_ json: JSON) {
    switch json {
    case .null: self = .null
    case .bool(let value): self = .bool(value)
    case .int(let value): self = .int(value)
    case .double(let value): self = .double(value)
    case .string(let value): self = .string(value)
    case .array(let items): self = .sequence(items.map { YAMLNode($0) })
    case .object(let members): self = .mapping(members.map { ($0.key, YAMLNode($0.value)) })
    }
  }
}
