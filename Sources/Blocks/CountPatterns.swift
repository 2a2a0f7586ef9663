import PEFTKernel

extension SitePatterns {
  /// Whole numbers by site pattern, as the option `name` gives them; refuses what is no pattern, and numbers outside of `range`.
  public static func counts(_ name: String, of options: Options, in range: ClosedRange<Int>) throws(Refusal) -> SitePatterns {
    let table = options.table(name)
    for (pattern, count) in table.sorted(by: { $0.key < $1.key }) {
      guard (try? PathPattern(pattern)) != nil else {
        throw Refusal("\(name): `\(pattern)` is no regular expression", remedy: "use a site's path, its end, or a pattern of it")
      }
      guard let whole = Int(exactly: count), range.contains(whole) else {
        throw Refusal(
          "\(name): '\(pattern)' is \(count)", remedy: "use an integer from \(range.lowerBound) to \(range.upperBound)")
      }
    }
    return SitePatterns(table)
  }
}
