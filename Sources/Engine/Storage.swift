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
    if owner == nil { BufferPool.shared.give(address, capacity, for: byteCount) }
  }
}

/// Freed blocks, kept by size class: fresh pages cost more than the arithmetic done in them.
///
/// Work of changing sizes would pile up blocks of every class it ever needed. So a request that finds none of its own
/// class takes a somewhat larger one, and kept blocks are given back rather than let the pool outgrow the most that was
/// ever asked for at once: a process takes hardly more than its largest step.
///
/// This is an allocator in the sense of `malloc`: process-wide, internally locked, and invisible in results.
final class BufferPool: Sendable {
  static let shared = BufferPool()

  private struct State {
    var free: [Int: [UInt]] = [:]
    var inUse = 0
    var peak = 0
    /// As `inUse`, by what was asked for; its maximum is what the pool may hold.
    var needed = 0
    var ceiling = 0
    /// As `peak`, but never reset.
    var highest = 0
    var held = 0
    var allocations = 0
  }
  private let state = Mutex(State())

  /// From this size on, blocks are whole pages of the system's, which returns them at once when they are given back.
  private static let pages = 1 << 16

  /// Smaller blocks stay in their class and are never given back: they are cheap to keep, and many.
  private static let bounded = 1 << 12

  /// Eight classes per power of two waste at most an eighth of a block; of whole pages, 32 waste at most a 32nd.
  private static func sizeClass(_ byteCount: Int) -> Int {
    let minimum = 256
    guard byteCount > minimum else { return minimum }
    let bits = Int.bitWidth - (byteCount - 1).leadingZeroBitCount
    let step = byteCount > pages ? 1 << max(12, bits - 6) : 1 << max(8, bits - 4)
    return (byteCount + step - 1) / step * step
  }

  /// A block of at least that many bytes, and how many it has.
  func take(_ byteCount: Int) -> (UnsafeMutableRawPointer, Int) {
    let wanted = Self.sizeClass(byteCount)
    var surplus: [(address: UInt, capacity: Int)] = []
    let (reused, capacity): (UInt?, Int) = state.withLock { state in
      let kept = Self.kept(wanted, state)
      let capacity = kept ?? wanted
      state.inUse += capacity
      state.peak = max(state.peak, state.inUse)
      state.highest = max(state.highest, state.inUse)
      state.needed += wanted
      state.ceiling = max(state.ceiling, state.needed)
      if let kept, let address = state.free[kept]?.popLast() {
        state.held -= kept
        return (address, kept)
      }
      state.allocations += 1
      surplus = Self.surplus(&state)
      return (nil, capacity)
    }
    for block in surplus { Self.release(block.address, block.capacity) }
    MemoryMeter.current?.add(capacity)
    if let reused, let address = UnsafeMutableRawPointer(bitPattern: reused) { return (address, capacity) }
    guard let address = Self.fresh(capacity) else { fatalError("out of memory: \(capacity) bytes") }
    return (address, capacity)
  }

  /// Takes a block back that was taken for so many bytes.
  func give(_ address: UnsafeMutableRawPointer, _ capacity: Int, for byteCount: Int) {
    MemoryMeter.current?.add(-capacity)
    state.withLock { state in
      state.inUse -= capacity
      state.needed -= Self.sizeClass(byteCount)
      state.held += capacity
      state.free[capacity, default: []].append(UInt(bitPattern: address))
    }
  }

  /// The class of the smallest kept block that serves a request of class `wanted` and is at most a quarter larger.
  private static func kept(_ wanted: Int, _ state: State) -> Int? {
    var candidate = wanted
    while candidate <= wanted + wanted / 4 {
      if state.free[candidate]?.isEmpty == false { return candidate }
      if wanted < bounded { return nil }
      candidate = sizeClass(candidate + 1)
    }
    return nil
  }

  /// Takes from the kept blocks what is beyond the ceiling. Small ones go first: large ones can stand in for them.
  private static func surplus(_ state: inout State) -> [(address: UInt, capacity: Int)] {
    guard state.inUse + state.held > state.ceiling else { return [] }
    var taken: [(UInt, Int)] = []
    for capacity in state.free.keys.sorted() where capacity >= bounded {
      while state.inUse + state.held > state.ceiling, let address = state.free[capacity]?.popLast() {
        state.held -= capacity
        taken.append((address, capacity))
      }
      if state.free[capacity]?.isEmpty == true { state.free[capacity] = nil }
      if state.inUse + state.held <= state.ceiling { break }
    }
    return taken
  }

  private static func fresh(_ capacity: Int) -> UnsafeMutableRawPointer? {
    if capacity >= pages {
      let address = mmap(nil, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0)
      return address == MAP_FAILED ? nil : address
    }
    var address: UnsafeMutableRawPointer?
    return posix_memalign(&address, 64, capacity) == 0 ? address : nil
  }

  private static func release(_ address: UInt, _ capacity: Int) {
    let address = UnsafeMutableRawPointer(bitPattern: address)
    if capacity >= pages, let address { munmap(address, capacity) } else { free(address) }
  }

  func trim() {
    let blocks = state.withLock { state in
      defer {
        state.free = [:]
        state.held = 0
      }
      return state.free
    }
    for (capacity, addresses) in blocks { for address in addresses { Self.release(address, capacity) } }
  }

  var usage: MemoryUsage {
    state.withLock {
      MemoryUsage(
        inUse: $0.inUse, peak: $0.peak, highest: $0.highest, held: $0.held, allocations: $0.allocations)
    }
  }

  func resetPeak() { state.withLock { $0.peak = $0.inUse } }
}

/// What the tensors' pool holds, in bytes.
public struct MemoryUsage: Sendable {
  /// Bytes that belong to live tensors.
  public var inUse: Int
  /// The most that was in use since `resetPeak`.
  public var peak: Int
  /// The most that ever was in use.
  public var highest: Int
  /// Freed bytes kept for reuse.
  public var held: Int
  /// Blocks asked of the system so far; constant in a steady state.
  public var allocations: Int

  public static var current: MemoryUsage { BufferPool.shared.usage }

  /// Gives freed blocks back to the system.
  public static func trim() { BufferPool.shared.trim() }

  public static func resetPeak() { BufferPool.shared.resetPeak() }
}
