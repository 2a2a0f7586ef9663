#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A point of the unit circle.
struct Wave {
  var cosine: Double
  var sine: Double

  /// After a share of a turn.
  static func at(_ share: Double) -> Wave {
    let angle = 2 * Double.pi * share
    return Wave(cosine: cos(angle), sine: sin(angle))
  }
}
