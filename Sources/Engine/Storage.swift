import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A block of memory that belongs to one or several tensors and goes back to the pool when the last one is gone.
///
/// A block is written only while the operation that made it runs; afterwards it is read-only unless its owner can
/// prove that nobody else holds it. That discipline makes sharing it between threads safe.
final class Storage: @unchecked Sendable {
  let address: UnsafeMutableRawPointer
  let byteCount: Int
  private let capacity: Int
  /// Keeps borrowed memory (a mapped file) alive; such a block does not belong to the pool.
  private let owner: AnyObject?

  init(byteCount: Int) {
    (address, capacity) = BufferPool.shared.take(byteCount)
    self.byteCount = byteCount
    owner = nil
  }

  init(borrowing address: UnsafeMutableRawPointer, byteCount: Int, owner: AnyObject) {
    self.address = address
    self.byteCount = byteCount
    self.capacity = 0
    self.owner = owner
  }

  deinit {
    if owner == nil { BufferPool.shared.give(address, capacity) }
  }
}

/// Freed blocks, kept by size class: fresh pages cost more than the arithmetic done in them.
///
/// This is an allocator in the sense of `malloc`: process-wide, internally locked, and invisible in results.
final class BufferPool: Sendable {
  static let shared = BufferPool()

  private struct State {
    var free: [Int: [UInt]] = [:]
    var inUse = 0
    var peak = 0
    var held = 0
    var allocations = 0
  }
  private let state = Mutex(State())

  /// Eight classes per power of two waste at most an eighth of a block.
  private static func sizeClass(_ byteCount: Int) -> Int {
    let minimum = 256
    guard byteCount > minimum else { return minimum }
    let step = 1 << max(8, Int.bitWidth - (byteCount - 1).leadingZeroBitCount - 4)
    return (byteCount + step - 1) / step * step
  }

  func take(_ byteCount: Int) -> (UnsafeMutableRawPointer, Int) {
    let capacity = Self.sizeClass(byteCount)
    MemoryMeter.current?.add(capacity)
    let reused: UInt? = state.withLock { state in
      state.inUse += capacity
      state.peak = max(state.peak, state.inUse)
      guard let address = state.free[capacity]?.popLast() else {
        state.allocations += 1
        return nil
      }
      state.held -= capacity
      return address
    }
    if let reused { return (UnsafeMutableRawPointer(bitPattern: reused)!, capacity) }
    var address: UnsafeMutableRawPointer?
    guard posix_memalign(&address, 64, capacity) == 0, let address else {
      fatalError("out of memory: \(capacity) bytes")
    }
    return (address, capacity)
  }

  func give(_ address: UnsafeMutableRawPointer, _ capacity: Int) {
    MemoryMeter.current?.add(-capacity)
    state.withLock { state in
      state.inUse -= capacity
      state.held += capacity
      state.free[capacity, default: []].append(UInt(bitPattern: address))
    }
  }

  func trim() {
    let blocks = state.withLock { state in
      defer {
        state.free = [:]
        state.held = 0
      }
      return state.free.values.flatMap { $0 }
    }
    for block in blocks { free(UnsafeMutableRawPointer(bitPattern: block)) }
  }

  var usage: MemoryUsage {
    state.withLock { MemoryUsage(inUse: $0.inUse, peak: $0.peak, held: $0.held, allocations: $0.allocations) }
  }

  func resetPeak() { state.withLock { $0.peak = $0.inUse } }
}

/// What the tensors' pool holds, in bytes.
public struct MemoryUsage: Sendable {
  /// Bytes that belong to live tensors.
  public var inUse: Int
  /// The most that ever was in use.
  public var peak: Int
  /// Freed bytes kept for reuse.
  public var held: Int
  /// Blocks asked of the system so far; constant in a steady state.
  public var allocations: Int

  public static var current: MemoryUsage { BufferPool.shared.usage }

  /// Gives freed blocks back to the system.
  public static func trim() { BufferPool.shared.trim() }

  public static func resetPeak() { BufferPool.shared.resetPeak() }
}
