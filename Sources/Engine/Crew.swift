import CKernels
import Dispatch
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The process's other threads, which work on one job at a time beside the thread that calls.
///
/// A token is a hundred products of a tenth of a millisecond. Waking a thread takes as long as a good part of one, so a thread
/// without work watches for the next job a moment before it sleeps. Whoever calls while a job is under way, from within it or
/// from another thread, does its own alone: the cores are busy.
// Unchecked: `job` and `count` are written by whoever holds `isTaken`, while the word is closed and nobody has joined.
final class Crew: @unchecked Sendable {
  static let shared = Crew(Threads.count - 1)

  /// How long a thread without work stays awake. About what lies between two products of one token.
  private static let patience = Duration.microseconds(200)

  private let size: Int
  private let isTaken = Atomic(false)
  /// The number of the job, how many members may join it, whether it is open, how many have joined.
  private let word = Atomic<UInt64>(0)
  private let next = Atomic(0)
  private var job: ((Int) -> Void)?
  private var count = 0
  private var members: [Member] = []

  private final class Member: Sendable {
    let isAsleep = Atomic(false)
    let call = DispatchSemaphore(value: 0)
  }

  private init(_ size: Int) {
    self.size = size
    for index in 0..<size {
      members.append(Member())
      start(index)
    }
  }

  /// Calls `body` once for each index on at most `width` threads, this one among them, handing out indices as threads become free.
  func perform(_ iterations: Int, width: Int, _ body: (Int) -> Void) {
    let helpers = min(width, iterations, size + 1) - 1
    guard helpers > 0, !isTaken.exchange(true, ordering: .acquiring) else {
      for i in 0..<iterations { body(i) }
      return
    }
    withoutActuallyEscaping(body) { body in
      job = body
      count = iterations
      next.store(0, ordering: .relaxed)
      let opened = Word(number: Word(word.load(ordering: .relaxed)).number + 1, helpers: helpers)
      word.store(opened.bits, ordering: .sequentiallyConsistent)
      for member in members[..<helpers] where member.isAsleep.load(ordering: .sequentiallyConsistent) {
        // Whoever takes the flag down owes the call.
        if member.isAsleep.exchange(false, ordering: .acquiringAndReleasing) { member.call.signal() }
      }
      work()
      word.bitwiseAnd(~Word.open, ordering: .acquiringAndReleasing)
      var turns = 0
      while Word(word.load(ordering: .acquiring)).joined > 0 {
        // A member that was interrupted needs the core this thread waits on.
        turns += 1
        if turns < 2000 { cpu_relax() } else { sched_yield() }
      }
      job = nil
    }
    isTaken.store(false, ordering: .releasing)
  }

  /// Does what is left of the job. Never inlined, so that nothing of `job` is held when it returns.
  @inline(never) private func work() {
    guard let job else { return }
    while case let i = next.add(1, ordering: .relaxed).oldValue, i < count { job(i) }
  }

  private struct Word {
    static let open: UInt64 = 1 << 15
    var bits: UInt64

    init(_ bits: UInt64) { self.bits = bits }

    init(number: UInt64, helpers: Int) { bits = number << 32 | UInt64(helpers) << 16 | Self.open }

    var number: UInt64 { bits >> 32 }
    var helpers: Int { Int(bits >> 16 & 0xFFFF) }
    var isOpen: Bool { bits & Self.open != 0 }
    var joined: UInt64 { bits & (Self.open - 1) }
  }
}

// What a member does.
extension Crew {
  /// A thread of the system's: one of Dispatch's would be missing where tasks run.
  private func start(_ index: Int) {
    let seat = Unmanaged.passRetained(Seat(crew: self, index: index)).toOpaque()
    #if canImport(Darwin)
      var thread: pthread_t?
    #else
      var thread = pthread_t()
    #endif
    let failure = pthread_create(
      &thread, nil,
      { seat in
        #if canImport(Darwin)
          let seat = Unmanaged<Seat>.fromOpaque(seat).takeRetainedValue()
        #else
          guard let seat = seat.map({ Unmanaged<Seat>.fromOpaque($0).takeRetainedValue() }) else { return nil }
        #endif
        var done: UInt64 = 0
        while true { done = seat.crew.serve(seat.index, after: done) }
      }, seat)
    // Nobody waits for a member that is not there: jobs are then done by those who are.
    if failure != 0 { Unmanaged<Seat>.fromOpaque(seat).release() }
  }

  private final class Seat: Sendable {
    let crew: Crew
    let index: Int

    init(crew: Crew, index: Int) { (self.crew, self.index) = (crew, index) }
  }

  /// Waits for a job after number `done` and takes part in it; its number.
  private func serve(_ index: Int, after done: UInt64) -> UInt64 {
    let seen = awaited(index, after: done)
    var expected = seen
    while expected.isOpen, expected.number == seen.number {
      let (isJoined, now) = word.weakCompareExchange(
        expected: expected.bits, desired: expected.bits + 1, ordering: .acquiringAndReleasing)
      guard isJoined else {
        expected = Word(now)
        continue
      }
      work()
      word.subtract(1, ordering: .releasing)
      break
    }
    return seen.number
  }

  /// The first job after `done` that this member may join.
  private func awaited(_ index: Int, after done: UInt64) -> Word {
    func job() -> Word? {
      let now = Word(word.load(ordering: .sequentiallyConsistent))
      return now.number != done && now.isOpen && index < now.helpers ? now : nil
    }
    while true {
      let limit = ContinuousClock.now + Self.patience
      repeat {
        for _ in 0..<64 {
          if let found = job() { return found }
          cpu_relax()
        }
      } while ContinuousClock.now < limit
      let member = members[index]
      member.isAsleep.store(true, ordering: .sequentiallyConsistent)
      // A job may have come between the last look and the flag.
      if let found = job(), member.isAsleep.exchange(false, ordering: .acquiringAndReleasing) { return found }
      member.call.wait()
    }
  }
}
