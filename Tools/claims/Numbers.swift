import Training

/// Numbers as the tables show them.
enum Text {
  static func fixed(_ value: Double, _ digits: Int) -> String {
    guard value.isFinite else { return "–" }
    var factor = 1.0
    for _ in 0..<digits { factor *= 10 }
    let scaled = (value.magnitude * factor).rounded()
    let sign = value < 0 && scaled > 0 ? "−" : ""
    guard digits > 0 else { return sign + "\(Int(scaled))" }
    let fraction = "\(Int(scaled) % Int(factor))"
    return sign + "\(Int(scaled / factor))." + String(repeating: "0", count: digits - fraction.count) + fraction
  }

  /// `−0.0121 ± 0.0034`.
  static func interval(_ interval: Interval?, _ digits: Int, signed: Bool = false) -> String {
    guard let interval else { return "diverged" }
    let mean = (signed && interval.mean > 0 ? "+" : "") + fixed(interval.mean, digits)
    return mean + (interval.halfWidth.map { " ± " + fixed($0, digits) } ?? "")
  }

  static func count(_ number: Int) -> String {
    var (text, rest) = ("", String(number))
    while rest.count > 3 {
      text = "," + rest.suffix(3) + text
      rest = String(rest.dropLast(3))
    }
    return rest + text
  }

  static func mebibytes(_ bytes: Int) -> String { fixed(Double(bytes) / 0x1p20, bytes < 10 << 20 ? 2 : 1) + " MiB" }

  static func milliseconds(_ seconds: Double) -> String { fixed(seconds * 1000, seconds < 0.1 ? 1 : 0) + " ms" }
}

/// How a difference of losses lies to zero.
enum Order {
  case lower, open, higher

  /// Open where the interval has both signs, or where there is none.
  init(_ difference: Interval?) {
    guard let difference, let half = difference.halfWidth else {
      self = .open
      return
    }
    self = difference.mean + half < 0 ? .lower : difference.mean - half > 0 ? .higher : .open
  }
}
