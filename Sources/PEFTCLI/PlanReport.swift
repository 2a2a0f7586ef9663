import Engine
import JSON
import PEFTKernel
import Training

/// A plan as people and programs read it.
struct PlanReport {
  let session: RunSession
  let plan: RunPlan

  init(_ session: RunSession) throws {
    self.session = session
    plan = try RunPlan(session)
  }

  var notes: [String] { session.notes + plan.notes }

  /// With `everySite`, a line for each site instead of one for each kind.
  func lines(everySite: Bool = false) -> [String] {
    var lines = ["\(session.entry.name) on \(Format.path(session.file.baseModel))"]
    let share = Format.percent(plan.trainable, of: plan.total)
    lines.append(
      "trains \(Format.grouped(plan.trainable)) of \(Format.grouped(plan.total)) parameters (\(share))"
        + (plan.frozen > 0 ? ", keeps \(Format.grouped(plan.frozen)) of its own frozen" : ""))
    lines += siteLines(everySite)
    lines += ["", "steps"]
    let micro = plan.largestMicroBatch
    var rows = [
      ["  steps", Format.grouped(plan.steps) + " (\(Format.significant(plan.epochs, 3)) epochs of \(plan.stepsPerEpoch))"],
      ["  tokens", Format.grouped(plan.tokens)],
      ["  largest micro-batch", "\(Format.grouped(micro.tokens)) tokens in \(micro.sequences) sequences"],
    ]
    if plan.evaluationTokens > 0 { rows.append(["  tokens of an evaluation", Format.grouped(plan.evaluationTokens)]) }
    rows.append(["  about", Format.duration(plan.seconds) + " on this machine as it is now"])
    lines += Format.table(rows)
    lines += ["", "memory"]
    let memory = plan.memory
    rows = memory.classes.filter { $0.bytes > 0 }.map { ["  \($0.name)", Format.bytes($0.bytes)] }
    rows.append(["  predicted peak", Format.bytes(memory.peak)])
    lines += Format.table(rows, right: [1])
    if memory.evidence > 0 {
      lines.append("  before the steps, the start holds gradients of \(Format.bytes(memory.evidence)) and frees them")
    }
    if session.file.activationCheckpointing {
      lines.append("  of activations only the layers' inputs are kept; the time above is with the second computation of the rest")
    }
    if memory.isExtrapolated { lines.append("  the largest batch was not run: its activations follow from shorter ones") }
    if memory.process == 0 { lines.append("  this system does not tell what the program itself takes: it comes on top") }
    lines += ["", "a checkpoint on disk: \(Format.bytes(plan.checkpointBytes)), the last two are kept"]
    return lines
  }

  private func siteLines(_ everySite: Bool) -> [String] {
    guard !plan.sites.isEmpty else { return [] }
    var lines = ["", "\(plan.sites.count) of \(plan.siteCount) sites"]
    var groups: [(sites: [RunPlan.SitePlan], key: String)] = []
    for site in plan.sites {
      let parts = Self.text(site.parts)
      let key = everySite ? site.site.id.path : "\(site.site.use) \(site.site.outputs) \(site.site.inputs) \(parts)"
      if let at = groups.firstIndex(where: { $0.key == key }) {
        groups[at].sites.append(site)
      } else {
        groups.append(([site], key))
      }
    }
    lines += Format.table(
      groups.map { group in
        let first = group.sites[0]
        let sum = group.sites.reduce(0) { $0 + $1.trainable }
        return [
          "  \(everySite ? first.site.id.path : first.site.use)", everySite ? "" : "\(group.sites.count) ×",
          "[\(first.site.outputs), \(first.site.inputs)]", Self.text(first.parts), sum > 0 ? Format.grouped(sum) : "",
        ]
      }, right: [1, 4])
    if !plan.shared.isEmpty {
      let sum = plan.shared.filter(\.isTrainable).reduce(0) { $0 + $1.count }
      lines.append("  shared by all: \(Self.text(plan.shared)), \(Format.grouped(sum)) trainable")
    }
    return lines
  }

  /// `lora_A [16, 192] + lora_B [192, 16]`; what is frozen in brackets.
  private static func text(_ parts: [RunPlan.Part]) -> String {
    let shown = parts.prefix(6).map { $0.isTrainable ? "\($0.name) \($0.shape)" : "(\($0.name) \($0.shape))" }
    return (shown + (parts.count > 6 ? ["\(parts.count - 6) more"] : [])).joined(separator: " + ")
  }

  var json: JSON {
    let memory = plan.memory
    return [
      "method": .string(session.entry.name), "base_model": .string(session.file.baseModel),
      "trainable": .int(plan.trainable), "frozen": .int(plan.frozen), "total": .int(plan.total),
      "percent": .double(100 * Double(plan.trainable) / Double(max(1, plan.total))), "site_count": .int(plan.siteCount),
      "sites": .array(
        plan.sites.map { site in
          [
            "name": .string(site.site.id.path), "use": .string(site.site.use),
            "shape": .array([.int(site.site.outputs), .int(site.site.inputs)]), "trainable": .int(site.trainable),
            "tensors": .array(site.parts.map(Self.json)),
          ]
        }),
      "shared": .array(plan.shared.map(Self.json)),
      "steps": .int(plan.steps), "steps_per_epoch": .int(plan.stepsPerEpoch), "epochs": .double(plan.epochs),
      "tokens": .int(plan.tokens), "largest_micro_batch_tokens": .int(plan.largestMicroBatch.tokens),
      "largest_micro_batch_sequences": .int(plan.largestMicroBatch.sequences),
      "evaluation_tokens": .int(plan.evaluationTokens),
      "activation_checkpointing": .bool(session.file.activationCheckpointing), "seconds": .double(plan.seconds),
      "memory": [
        "base": .int(memory.base), "base_widened": .int(memory.widened), "base_trained": .int(memory.trainedBase),
        "adapter_trainable": .int(memory.trainable), "adapter_frozen": .int(memory.frozen), "base_offset": .int(memory.offset),
        "optimizer": .int(memory.optimizer), "gradients": .int(memory.gradients), "activations": .int(memory.activations),
        "beyond_steps": .int(memory.beyondSteps), "process": .int(memory.process), "peak": .int(memory.peak),
        "peak_phase": .string(memory.peakPhase.rawValue), "evidence": .int(memory.evidence),
        "extrapolated": .bool(memory.isExtrapolated),
      ],
      "checkpoint_bytes": .int(plan.checkpointBytes), "notes": .array(notes.map { .string($0) }),
    ]
  }

  private static func json(_ part: RunPlan.Part) -> JSON {
    ["name": .string(part.name), "shape": .array(part.shape.map { .int($0) }), "trainable": .bool(part.isTrainable)]
  }
}
