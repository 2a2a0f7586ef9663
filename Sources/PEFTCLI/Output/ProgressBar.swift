#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The line that shows how far something is.
struct ProgressBar {
  /// What is done, where that is not plain.
  var label: String?
  var step: Int
  var steps: Int
  /// Of this very step.
  var loss: Double?
  var tokensPerSecond: Double?
  var secondsLeft: Double?

  /// Whether the terminal's characters reach beyond ASCII.
  static let isUnicode: Bool = {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].lazy.compactMap { (name: String) in getenv(name).map { String(cString: $0) } }
    let charset = locale.first { !$0.isEmpty }?.lowercased() ?? ""
    return charset.hasSuffix("utf-8") || charset.hasSuffix("utf8")
  }()

  /// `[████████░░░░]  120/400  loss 2.3170  5,120 tok/s  1 min 20 s left`, cut to `width` columns.
  func text(width: Int, isUnicode: Bool) -> String {
    var parts = [(label.map { $0 + " " } ?? "") + "\(step)/\(steps)"]
    if let loss { parts.append("loss \(Format.fixed(loss, 4))") }
    if let tokensPerSecond { parts.append("\(Format.grouped(Int(min(tokensPerSecond, 1e12)))) tok/s") }
    if let secondsLeft { parts.append("\(Format.duration(secondsLeft)) left") }
    let words = parts.joined(separator: "  ")
    // The last column stays free: terminals wrap at it.
    let room = min(40, width - words.count - 5)
    guard room >= 4 else { return String(words.prefix(max(0, width - 1))) }
    let filled = steps == 0 ? room : min(room, Int(Double(room) * Double(step) / Double(steps)))
    let (full, empty) = isUnicode ? ("█", "░") : ("#", ".")
    return "[" + String(repeating: full, count: filled) + String(repeating: empty, count: room - filled) + "]  " + words
  }
}
