import JSON
import PEFTKernel
import Registry

/// One method as it is shown: its axes and every option they take.
struct MethodPage {
  private let entry: MethodEntry
  private let axes: [Axis]

  private struct Axis {
    var word: String
    var name: String
    var summary: String
    var options: [OptionSpec]
    var values: [String: OptionValue]
  }

  init(_ entry: MethodEntry, _ registry: MethodRegistry) {
    self.entry = entry
    let (projection, start) = (registry.axes.projections[entry.projection.name], registry.axes.inits[entry.initialization.name])
    let optimizer = registry.axes.optimizers[entry.optimizer.name]
    axes = [
      Axis(
        word: "projection", name: entry.projection.name, summary: projection?.summary ?? "",
        options: projection?.options ?? [], values: entry.projection.options),
      Axis(
        word: "init", name: entry.initialization.name, summary: start?.summary ?? "", options: start?.options ?? [],
        values: entry.initialization.options),
      Axis(
        word: "optimizer", name: entry.optimizer.name, summary: optimizer?.summary ?? "", options: optimizer?.options ?? [],
        values: entry.optimizer.options),
    ]
  }

  var lines: [String] {
    var lines = [entry.name]
    if let summary = entry.summary { lines.append(summary) }
    if let paper = entry.paper { lines.append(paper) }
    for axis in axes {
      lines += ["", "\(axis.word): \(axis.name)" + (axis.summary.isEmpty ? "" : " — \(axis.summary)")]
      let rows = axis.options.map { spec -> [String] in
        let others = spec.aliases.isEmpty ? "" : " (also \(spec.aliases.map(\.name).joined(separator: ", ")))"
        return ["  \(spec.name)", (axis.values[spec.name] ?? spec.standard).text, spec.kind.text, spec.summary + others]
      }
      if !rows.isEmpty { lines += Format.table([["  option", "value", "may be", "what it is"]] + rows) }
    }
    lines += ["", "trained: \(trained.joined(separator: ", "))"]
    if entry.hasAdapter { lines.append("sites:   \(entry.targets.joined(separator: ", "))") }
    if let rate = entry.optimizer.learningRate { lines.append("rate:    \(rate)") }
    if let type = entry.peftType { lines.append("files:   peft_type \(type)") }
    lines += ["", "in a run file:  method: \(entry.name)"]
    if let spec = axes[0].options.first {
      let value = (entry.projection.options[spec.name] ?? spec.standard).text
      lines.append("with options:   method: { use: \(entry.name), \(spec.name): \(value) }")
    }
    return lines
  }

  var json: JSON {
    [
      "name": .string(entry.name), "paper": entry.paper.map { .string($0) } ?? .null,
      "summary": entry.summary.map { .string($0) } ?? .null, "trainable": .array(trained.map { .string($0) }),
      "targets": .array(entry.targets.map { .string($0) }),
      "learning_rate": entry.optimizer.learningRate.map { .double($0) } ?? .null,
      "axes": .object(axes.map { JSON.Member($0.word, json(of: $0)) }),
    ]
  }

  private func json(of axis: Axis) -> JSON {
    [
      "use": .string(axis.name), "summary": .string(axis.summary),
      "options": .array(
        axis.options.map { spec in
          [
            "name": .string(spec.name), "value": JSON(axis.values[spec.name] ?? spec.standard),
            "default": JSON(spec.standard), "range": .string(spec.kind.text), "summary": .string(spec.summary),
            "aliases": .array(spec.aliases.map { .string($0.name) }),
          ]
        }),
    ]
  }

  private var trained: [String] { entry.trainable.roles.sorted() + (entry.trainable.base ? ["base"] : []) }
}

extension JSON {
  init(_ value: OptionValue) {
    switch value {
    case .null: self = .null
    case .bool(let value): self = .bool(value)
    case .int(let value): self = .int(value)
    case .double(let value): self = .double(value)
    case .string(let value): self = .string(value)
    case .list(let values): self = .array(values.map(JSON.init))
    case .map(let values): self = .object(values.sorted { $0.key < $1.key }.map { JSON.Member($0.key, JSON($0.value)) })
    }
  }
}
