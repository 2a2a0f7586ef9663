/// What the time of a training step is spent on.
public enum Phase: String, Sendable, CaseIterable {
  /// Putting batches together.
  case data
  /// Products with the base's own weights, forward and back.
  case base
  /// What an adapter computes beside them.
  case adapter
  case attention
  /// Norms, activations, rotations, sums, and whatever has no phase of its own.
  case elementwise
  /// What is computed again for the way back, of whatever phase it was the first time.
  case recompute
  /// Softmax over the vocabulary; the head's product belongs to the base.
  case loss
  /// Gradient norm, clipping and the update.
  case optimizer

  /// Charges the time of `body` to this phase, but for what inner phases take. What `body` records is charged to it again on the
  /// way back. Costs next to nothing where no clock runs.
  public func spent<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    guard let clock = PhaseClock.current else { return try body() }
    return try clock.during(self, body)
  }

  /// As `spent`, and what inner phases take is charged to this one as well. What they record is theirs on the way back.
  func spentWhole<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
    guard let clock = PhaseClock.current else { return try body() }
    return try clock.charging(self, body)
  }
}

/// Divides the time of a piece of work among phases.
///
/// A clock belongs to the task that it was started in; what other threads do for it counts while that task waits.
// Unchecked: only the task that runs `measure` reaches it.
public final class PhaseClock: @unchecked Sendable {
  @TaskLocal static var current: PhaseClock?

  private(set) var phase = Phase.elementwise
  /// What is charged in place of the phase.
  private var payer: Phase?
  private var seconds: [Phase: Double] = [:]
  private var since = ContinuousClock.now

  private init() {}

  /// Runs `body` and says how many seconds each phase took, all of them together the time of `body`.
  public static func measure<R>(_ body: () throws -> R) rethrows -> (result: R, seconds: [Phase: Double]) {
    let clock = PhaseClock()
    let result = try $current.withValue(clock) { try body() }
    clock.settle()
    return (result, clock.seconds)
  }

  func during<R, E: Error>(_ phase: Phase, _ body: () throws(E) -> R) throws(E) -> R {
    let outer = self.phase
    turn(to: phase)
    defer { turn(to: outer) }
    return try body()
  }

  func charging<R, E: Error>(_ payer: Phase, _ body: () throws(E) -> R) throws(E) -> R {
    let outer = self.payer
    settle()
    self.payer = payer
    defer {
      settle()
      self.payer = outer
    }
    return try body()
  }

  private func turn(to phase: Phase) {
    guard phase != self.phase else { return }
    settle()
    self.phase = phase
  }

  /// Charges the time since the last charge.
  private func settle() {
    let now = ContinuousClock.now
    seconds[payer ?? phase, default: 0] += (now - since) / .seconds(1)
    since = now
  }
}
