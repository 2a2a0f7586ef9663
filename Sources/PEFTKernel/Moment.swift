import Engine
import Synchronization

/// Whether the model learns or is used.
public enum Mode: Sendable, Hashable {
  case training
  case evaluation
}

/// When something happens: everything a draw may depend on. Nothing random has hidden state.
public struct Moment: Sendable {
  public var mode: Mode
  public var seed: UInt64
  public var step: Int
  public var microBatch: Int
  /// Blocked gradients are recorded here, or replayed from here; nil outside of gradient checks.
  public var pins: Pins?

  public init(mode: Mode = .evaluation, seed: UInt64 = 0, step: Int = 0, microBatch: Int = 0, pins: Pins? = nil) {
    self.mode = mode
    self.seed = seed
    self.step = step
    self.microBatch = microBatch
    self.pins = pins
  }

  /// The stream of draws for `purpose` at `site`: a function of seed, step, micro-batch, purpose and site.
  public func random(_ purpose: String, _ site: SiteID? = nil) -> Philox {
    var stream = Philox(key: seed).stream(UInt64(bitPattern: Int64(step))).stream(UInt64(bitPattern: Int64(microBatch))).stream(
      purpose)
    if let site { stream = stream.stream(site.path) }
    return stream
  }

  /// The value with its gradient blocked. All blocking goes through here, so that a finite-difference check can hold
  /// blocked values fixed while it moves everything else.
  public func stop(_ value: Tensor) -> Tensor { pins?.pinned(value.detached) ?? value.detached }

  /// A choice (an index list, a mask) that is constant under differentiation.
  public func stop(_ choice: [Int32]) -> [Int32] { pins?.pinned(choice) ?? choice }
}

/// The blocked values of one evaluation in the order they occurred: recorded once, then replayed.
public final class Pins: Sendable {
  private enum Value: Sendable {
    case tensor(Tensor)
    case choice([Int32])
  }
  private struct State {
    var values: [Value] = []
    var next = 0
    var isReplaying = false
  }
  private let state = Mutex(State())

  public init() {}

  /// From now on the recorded values are given back, from the first one on.
  public func replay() {
    state.withLock {
      $0.isReplaying = true
      $0.next = 0
    }
  }

  /// How many values were recorded, or given back, so far.
  var position: Int { state.withLock { $0.isReplaying ? $0.next : $0.values.count } }

  /// What gives back the recorded values from one of them on, while these stay where they are.
  func replaying(from start: Int) -> Pins {
    let pins = Pins()
    let values = state.withLock { $0.values }
    pins.state.withLock { ($0.values, $0.next, $0.isReplaying) = (values, start, true) }
    return pins
  }

  func pinned(_ value: Tensor) -> Tensor {
    guard case .tensor(let pinned) = exchange(.tensor(value)) else { preconditionFailure("blocked values changed order") }
    return pinned
  }

  func pinned(_ choice: [Int32]) -> [Int32] {
    guard case .choice(let pinned) = exchange(.choice(choice)) else { preconditionFailure("blocked values changed order") }
    return pinned
  }

  private func exchange(_ value: Value) -> Value {
    state.withLock { state in
      guard state.isReplaying else {
        state.values.append(value)
        return value
      }
      defer { state.next += 1 }
      return state.values[state.next]
    }
  }
}
