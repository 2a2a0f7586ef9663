/// The line that shows how far a run is.
struct ProgressBar {
  var step: Int
  var steps: Int
  var loss: Double?
  var tokensPerSecond: Double?
  var secondsLeft: Double?

  /// `[████████░░░░]  120/400  loss 2.317  5,120 tok/s  1 min 20 s left`, cut to `width` columns.
  func text(width: Int, isUnicode: Bool) -> String {
    var parts = ["\(step)/\(steps)"]
    if let loss { parts.append("loss \(Format.significant(loss))") }
    if let tokensPerSecond { parts.append("\(Format.grouped(Int(min(tokensPerSecond, 1e12)))) tok/s") }
    if let secondsLeft { parts.append("\(Format.duration(secondsLeft)) left") }
    let words = parts.joined(separator: "  ")
    // The last column stays free: terminals wrap at it.
    let room = min(40, width - words.count - 5)
    guard room >= 4 else { return String(words.prefix(max(0, width - 1))) }
    let filled = steps == 0 ? room : min(room, room * step / steps)
    let (full, empty) = isUnicode ? ("█", "░") : ("#", ".")
    return "[" + String(repeating: full, count: filled) + String(repeating: empty, count: room - filled) + "]  " + words
  }
}
