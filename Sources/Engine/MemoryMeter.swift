import Synchronization

/// What one piece of work takes from the tensors' pool, whatever others do meanwhile. Scratch memory that loops take on
/// other threads while they run is not counted.
public final class MemoryMeter: Sendable {
  @TaskLocal static var current: MemoryMeter?

  private let state = Mutex((inUse: 0, peak: 0))

  private init() {}

  /// Runs `body` and says how many bytes its tensors held at most, beyond those that were there before.
  public static func measure<R>(_ body: () throws -> R) rethrows -> (result: R, peak: Int) {
    let meter = MemoryMeter()
    let result = try $current.withValue(meter) { try body() }
    return (result, meter.state.withLock { $0.peak })
  }

  func add(_ byteCount: Int) {
    state.withLock {
      $0.inUse += byteCount
      $0.peak = max($0.peak, $0.inUse)
    }
  }
}
