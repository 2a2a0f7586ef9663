import Dispatch
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Turns the first SIGINT or SIGTERM into a call, so that a run can finish its step and save. Another one a second later ends
/// the process; what comes sooner is the same wish, sent to a process and to its group, say.
final class StopSignals: Sendable {
  /// Dispatch sources may be used from any thread; their type does not say so.
  private struct Source: @unchecked Sendable {
    let source: any DispatchSourceSignal
  }
  private struct State {
    var stoppedAt: ContinuousClock.Instant?
    var handler: (@Sendable () -> Void)?
    var sources: [Source] = []
  }
  private let state = Mutex(State())

  init() {
    let sources = [SIGINT, SIGTERM].map { number in
      // A dispatch source sees a signal only if the process does not act on it.
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { [weak self] in self?.arrived(number) }
      source.resume()
      return Source(source: source)
    }
    state.withLock { $0.sources = sources }
  }

  /// Calls `handler` at the first signal, or now if it has come already.
  func handle(_ handler: @escaping @Sendable () -> Void) {
    let isLate = state.withLock { state in
      state.handler = handler
      return state.stoppedAt != nil
    }
    if isLate { handler() }
  }

  /// Leaves signals to the system again.
  func end() {
    let sources = state.withLock { state in
      defer { state.sources = [] }
      return state.sources
    }
    for source in sources { source.source.cancel() }
    for number in [SIGINT, SIGTERM] { signal(number, SIG_DFL) }
  }

  private func arrived(_ number: Int32) {
    let (handler, first) = state.withLock { state in
      defer { state.stoppedAt = state.stoppedAt ?? .now }
      return (state.handler, state.stoppedAt)
    }
    if let first {
      guard .now - first > .seconds(1) else { return }
      signal(number, SIG_DFL)
      kill(getpid(), number)
      return
    }
    handler?()
  }
}
