/// Finding what a misspelt word was meant to be.
public enum Nearest {
  /// The candidate that differs from `word` in the fewest letters, if it differs in few; of equals the first.
  /// Case does not count, nor does the choice between `-`, `_` and `.`.
  public static func name(to word: String, among candidates: [String]) -> String? {
    let wanted = plain(word)
    var best: (name: String, distance: Int)?
    for candidate in candidates {
      let letters = plain(candidate)
      let distance = distance(wanted, letters)
      // A third of the letters may be wrong, or the one begins the other.
      let isNear = distance <= max(1, min(wanted.count, letters.count) / 3) || isAbbreviation(wanted, letters)
      if isNear, distance < best?.distance ?? .max { best = (candidate, distance) }
    }
    return best?.name
  }

  /// `; did you mean `x`?`, or the list of what is known.
  public static func remedy(for word: String, among candidates: [String]) -> String {
    if let name = name(to: word, among: candidates) { return "; did you mean `\(name)`?" }
    var seen: Set<String> = []
    let known = candidates.filter { seen.insert($0).inserted }
    return known.isEmpty ? "" : "; known: " + known.joined(separator: ", ")
  }

  private static func isAbbreviation(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    min(a.count, b.count) >= 4 && (a.starts(with: b) || b.starts(with: a))
  }

  private static func plain(_ word: String) -> [UInt8] {
    // Bounded, because the work grows with the square and a key may hold anything.
    word.lowercased().utf8.prefix(64).map { "_.".utf8.contains($0) ? UInt8(ascii: "-") : $0 }
  }

  /// Insertions, deletions, replacements and exchanges of neighbours that lead from one to the other.
  static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var rows = [[Int](), Array(0...b.count)]
    for i in a.indices {
      var row = [i + 1]
      for j in b.indices {
        var least = min(rows[1][j + 1] + 1, row[j] + 1, rows[1][j] + (a[i] == b[j] ? 0 : 1))
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { least = min(least, rows[0][j - 1] + 1) }
        row.append(least)
      }
      rows = [rows[1], row]
    }
    return rows[1][b.count]
  }
}
