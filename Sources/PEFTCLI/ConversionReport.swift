import AdapterFiles
import JSON

/// How a conversion to plain LoRA is shown: one line for all sites of a kind.
struct ConversionReport {
  let report: LoRAConversion.Report
  let out: String

  var lines: [String] {
    let rows = report.byUse.map { use, part in
      [
        use, String(part.sites.count), Self.span(part.sites.map(\.width)), Self.span(part.sites.map(\.rank)),
        part.isExact ? "exact" : Format.significant(part.worst?.error ?? 0, 3),
        part.isExact ? "exact" : Format.significant(part.error, 3),
      ]
    }
    let head = ["sites", "count", "rank before", "after", "largest ‖E‖/‖ΔW‖", "together"]
    var lines = Format.table([head] + rows, right: [1, 2, 3, 4, 5])
    if !report.isExact, let worst = report.worst {
      lines += [
        "",
        "of ‖ΔW‖, \(Format.significant(report.error, 4)) is missing over all sites; most at \(worst.path): "
          + Format.significant(worst.error, 4),
      ]
    }
    return lines + ["", "adapter: \(out)"]
  }

  var json: JSON {
    let sites = report.sites.map { site -> JSON in
      [
        "path": .string(site.path), "use": .string(site.use), "rank_before": .int(site.width), "rank": .int(site.rank),
        "error": .double(site.error), "size": .double(site.size),
      ]
    }
    return [
      "out": .string(out), "exact": .bool(report.isExact), "error": .double(report.error),
      "worst": report.worst.map { ["path": .string($0.path), "error": .double($0.error)] } ?? .null, "sites": .array(sites),
    ]
  }

  /// `8`, or `4–8`.
  private static func span(_ numbers: [Int]) -> String {
    guard let least = numbers.min(), let most = numbers.max() else { return "" }
    return least == most ? String(least) : "\(least)–\(most)"
  }
}
