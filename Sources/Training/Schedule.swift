#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The learning rate as a function of the step.
public struct Schedule: Sendable, Hashable {
  public enum Shape: String, Sendable, CaseIterable {
    case constant
    case linear
    case cosine
  }

  public var shape: Shape
  /// Steps over which the rate climbs from 1/warmup of its peak to the peak.
  public var warmup: Int
  /// Steps in all.
  public var total: Int
  /// What the decay ends at, as a share of the peak.
  public var floor: Double

  public init(_ shape: Shape = .constant, warmup: Int = 0, total: Int, floor: Double = 0) {
    self.shape = shape
    self.warmup = warmup
    self.total = total
    self.floor = floor
  }

  /// The share of the peak rate at a step counted from 0.
  public func factor(at step: Int) -> Double {
    if step < warmup { return Double(step + 1) / Double(warmup) }
    let progress = min(1, Double(step - warmup) / Double(max(1, total - warmup)))
    switch shape {
    case .constant: return 1
    case .linear: return floor + (1 - floor) * (1 - progress)
    case .cosine: return floor + (1 - floor) * 0.5 * (1 + cos(.pi * progress))
    }
  }
}
