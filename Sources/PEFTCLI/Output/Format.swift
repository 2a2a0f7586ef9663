import Files

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Numbers as people read them.
enum Format {
  /// With `digits` behind the point.
  static func fixed(_ value: Double, _ digits: Int) -> String { value.isNaN ? "nan" : printf("%.*f", Int32(digits), value) }

  /// With `digits` that count: `1.234`, `5.6e-08`.
  static func significant(_ value: Double, _ digits: Int = 4) -> String {
    value.isNaN ? "nan" : printf("%.*g", Int32(digits), value)
  }

  /// As Swift prints it, but without a sign where it is no number.
  static func plain(_ value: Double) -> String { value.isNaN ? "nan" : "\(value)" }

  /// `1,234,567`.
  static func grouped(_ value: Int) -> String {
    let digits = String(value.magnitude)
    var out = ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index) % 3 == 0 { out += "," }
      out.append(digit)
    }
    return value < 0 ? "-" + out : out
  }

  /// In units of 1024.
  static func bytes(_ count: Int) -> String {
    var (value, unit) = (Double(count), 0)
    let units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024, unit < units.count - 1 { (value, unit) = (value / 1024, unit + 1) }
    return unit == 0 ? "\(count) B" : "\(fixed(value, value < 10 ? 2 : 1)) \(units[unit])"
  }

  /// `42 s`, `3 min 05 s`, `2 h 07 min`.
  static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e9 else { return "?" }
    if seconds < 10 { return "\(fixed(seconds, 1)) s" }
    let whole = Int(seconds.rounded())
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return "\(whole / 60) min \(padded(whole % 60)) s" }
    return "\(whole / 3600) h \(padded(whole / 60 % 60)) min"
  }

  /// A path as short as it can be typed here: what lies below the current folder goes without it.
  static func path(_ path: String) -> String {
    let (path, here) = (Folder.tidied(Folder.absolute(path)), Folder.tidied(Folder.absolute(".")))
    guard path.hasPrefix(here + "/") else { return path }
    let short = String(path.dropFirst(here.count + 1))
    return short.hasPrefix("-") ? "./" + short : short
  }

  static func percent(_ part: Int, of whole: Int) -> String {
    whole == 0 ? "0 %" : "\(significant(100 * Double(part) / Double(whole), 3)) %"
  }

  /// Columns of equal width, two blanks between; the columns in `right` are aligned to the right.
  static func table(_ rows: [[String]], right: Set<Int> = []) -> [String] {
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in rows.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0 }
    return rows.map { row in
      var line = ""
      for (column, cell) in row.enumerated() {
        let blanks = String(repeating: " ", count: widths[column] - cell.count)
        line += right.contains(column) ? blanks + cell : cell + blanks
        if column + 1 < row.count { line += "  " }
      }
      while line.last == " " { line.removeLast() }
      return line
    }
  }

  private static func padded(_ number: Int) -> String { number < 10 ? "0\(number)" : String(number) }

  private static func printf(_ format: String, _ arguments: any CVarArg...) -> String {
    withVaList(arguments) { list in
      var buffer = [CChar](repeating: 0, count: 512)
      vsnprintf(&buffer, buffer.count, format, list)
      return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
  }
}

/// A word as a shell takes it: quoted where it has to be.
func shellQuoted(_ word: String) -> String {
  let plain = word.utf8.allSatisfy { byte in
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
    default: "/._-+=:,@%".utf8.contains(byte)
    }
  }
  if plain, !word.isEmpty { return word }
  return "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
}
