import JSON
import Training

// Entries that no paper has, each against the plain methods that it is composed from.

extension Part {
  private struct Composition {
    var entry: Contestant
    var plain: [Contestant]
    var idea: String
    var rates = Contestant.rates
  }

  private static let composed = [
    Composition(
      entry: Contestant("core-gradient:rank=12", "core-gradient r=12"),
      plain: [
        Contestant("lora-sb:rank=12:init_samples=32", "LoRA-SB r=12"), Contestant("lora-xs:rank=12:alpha=12", "LoRA-XS r=12"),
      ],
      idea: "an r × r core between the gradient's own directions", rates: Contestant.coreRates),
    Composition(
      entry: Contestant("hadamard-first-step:rank=8:init_samples=32", "hadamard-first-step r=8"),
      plain: [Contestant("qwha:rank=8:init=fill", "QWHA r=8 from zero")],
      idea: "Walsh–Hadamard coefficients chosen by the first step of full fine-tuning"),
    Composition(
      entry: Contestant("masked-principal:rank=8", "masked-principal r=8"), plain: [Contestant("masked:rank=8", "masked r=8")],
      idea: "the weight's largest entries, taken out of the base"),
    Composition(
      entry: Contestant("spectrum-gradient:rank=8", "spectrum-gradient r=8"),
      plain: [Contestant("salt:relu=false:rank=8:ratio_salt=0.1", "SALT r=8, no clipping")],
      idea: "SALT's coordinates started on the gradient"),
    Composition(
      entry: Contestant("wavelet-gradient:rank=8", "wavelet-gradient r=8"),
      plain: [Contestant("wara:rank=8:alpha=16:bands=independent", "WaRA r=8, a pair a band")],
      idea: "wavelet factors started on the gradient"),
  ]

  static let compositions = Part(name: "compositions") { bench in
    var (findings, data): ([Finding], [JSON.Member]) = ([], [])
    for one in composed {
      let summary = try await bench.compare([.lora] + one.plain + [one.entry], rates: one.rates)
      let differences = one.plain.map { summary.difference(one.entry.label, $0.label) }
      let orders = differences.map { Order($0) }
      let against = zip(one.plain, differences).map { "\($0.label) \(Text.interval($1, 4, signed: true))" }
      findings.append(
        Finding(
          claim: "`\(one.entry.label)` (no paper): \(one.idea) helps",
          setting: bench.trialSetting
            + "; helps if it is lower than what it is composed from beyond the interval, partly if than some of it and higher than none",
          head: ComparisonSummary.head, rows: summary.cells,
          verdict: orders.allSatisfy { $0 == .lower }
            ? .yes : orders.contains(.higher) ? .no : orders.contains(.lower) ? .partly : .undecided,
          words: "less the loss of \(against.joined(separator: ", of ")), of LoRA "
            + Text.interval(summary.row(one.entry.label).difference, 4, signed: true)))
      data.append(.init(one.entry.label, summary.record))
    }
    return Outcome(findings: findings, data: .object(data))
  }
}
