import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Where tensors have their memory from.
///
/// Fresh pages cost more than the arithmetic done in them, and a step asks for the same blocks as the one before. So what is
/// freed is kept and handed out again, neighbours joined: blocks come out of one long stretch of addresses, each from the
/// smallest gap that holds it. Steps of changing lengths leave gaps that fit less well; rather than let the whole outgrow
/// the most that was ever needed at once by more than a sixteenth, pages of gaps then go back to the system.
///
/// This is an allocator in the sense of `malloc`: process-wide, internally locked, and invisible in results.
final class BufferPool: Sendable {
  static let shared = BufferPool()

  private struct State {
    var gaps = Gaps()
    /// Free blocks of less than a page, by size: cheap to keep, and never given back.
    var small: [Int: [UInt]] = [:]
    var inUse = 0
    var peak = 0
    /// As `peak`, but never reset.
    var highest = 0
    /// Resident bytes of `small`.
    var heldSmall = 0
    var allocations = 0
    /// Where fresh addresses begin, and end.
    var top = 0
    var end = 0

    var held: Int { heldSmall + gaps.backed }
  }
  private let state = Mutex(State())

  #if canImport(Darwin)
    fileprivate static let page = 16384
  #else
    fileprivate static let page = 4096
  #endif

  /// What a request really takes: whole pages, or for less than one, one of eight sizes per power of two.
  static func capacity(_ byteCount: Int) -> Int {
    let minimum = 256
    guard byteCount > minimum else { return minimum }
    guard byteCount < page else { return (byteCount + page - 1) / page * page }
    let step = max(64, 1 << (Int.bitWidth - (byteCount - 1).leadingZeroBitCount - 4))
    return (byteCount + step - 1) / step * step
  }

  /// A block of at least that many bytes.
  func take(_ byteCount: Int) -> UnsafeMutableRawPointer {
    let wanted = Self.capacity(byteCount)
    MemoryMeter.current?.add(wanted)
    let address = state.withLock { state -> UInt? in
      let place = wanted < Self.page ? Self.small(wanted, &state) : Self.place(wanted, &state)
      state.inUse += wanted
      state.peak = max(state.peak, state.inUse)
      state.highest = max(state.highest, state.inUse)
      return place
    }
    guard let address, let block = UnsafeMutableRawPointer(bitPattern: address) else {
      fatalError("out of memory: \(byteCount) bytes")
    }
    return block
  }

  /// Takes a block back that was taken for so many bytes.
  func give(_ address: UnsafeMutableRawPointer, _ byteCount: Int) {
    let capacity = Self.capacity(byteCount)
    MemoryMeter.current?.add(-capacity)
    state.withLock { state in
      state.inUse -= capacity
      guard capacity < Self.page else { return state.gaps.add(Int(bitPattern: address), capacity) }
      state.heldSmall += capacity
      state.small[capacity, default: []].append(UInt(bitPattern: address))
    }
  }

  private static func small(_ wanted: Int, _ state: inout State) -> UInt? {
    if let address = state.small[wanted]?.popLast() {
      state.heldSmall -= wanted
      return address
    }
    state.allocations += 1
    var address: UnsafeMutableRawPointer?
    return posix_memalign(&address, 64, wanted) == 0 ? UInt(bitPattern: address) : nil
  }

  private static func place(_ wanted: Int, _ state: inout State) -> UInt? {
    if let start = state.gaps.take(wanted, backed: true) { return UInt(bitPattern: start) }
    state.allocations += 1
    // A gap at the end needs only the rest.
    let last = state.gaps.last(endingAt: state.top)
    let fresh = wanted - (last?.length ?? 0)
    let needed = max(state.highest, state.inUse + wanted)
    let surplus = state.inUse + state.held + fresh - needed - needed / 16
    if surplus > 0 { state.gaps.release(surplus, sparing: last) }
    if let last, state.end - state.top >= fresh {
      state.gaps.remove(last)
      state.top += fresh
      return UInt(bitPattern: last.start)
    }
    if let start = state.gaps.take(wanted, backed: false) { return UInt(bitPattern: start) }
    if state.end - state.top < wanted {
      guard let region = reserved(atLeast: wanted) else { return nil }
      (state.top, state.end) = region
    }
    state.top += wanted
    return UInt(bitPattern: state.top - wanted)
  }

  /// Fresh addresses, which take no memory until they are written to.
  private static func reserved(atLeast wanted: Int) -> (Int, Int)? {
    var size = max(1 << 36, wanted)
    while true {
      let address = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON | MAP_NORESERVE, -1, 0)
      if let address, address != MAP_FAILED {
        #if canImport(Glibc)
          // Few large pages are found faster than many small ones.
          madvise(address, size, MADV_HUGEPAGE)
        #endif
        return (Int(bitPattern: address), Int(bitPattern: address) + size)
      }
      // The system may limit addresses.
      guard size > wanted else { return nil }
      size = max(size / 4, wanted)
    }
  }

  func trim() { state.withLock { $0.gaps.release(.max) } }

  var usage: MemoryUsage {
    state.withLock {
      MemoryUsage(inUse: $0.inUse, peak: $0.peak, highest: $0.highest, held: $0.held, allocations: $0.allocations)
    }
  }

  func resetPeak() { state.withLock { $0.peak = $0.inUse } }
}

/// Free stretches of addresses in their order. Neighbours of a kind are one.
private struct Gaps {
  struct Gap: Equatable {
    var start: Int
    var length: Int
    /// Whether its pages are resident.
    var isBacked: Bool

    var end: Int { start + length }
  }

  private var gaps: [Gap] = []
  /// Bytes of gaps that are resident.
  private(set) var backed = 0

  mutating func add(_ start: Int, _ length: Int, isBacked: Bool = true) {
    var gap = Gap(start: start, length: length, isBacked: isBacked)
    if isBacked { backed += length }
    let index = position(of: start)
    var joined = index..<index
    if index < gaps.count, gaps[index].start == gap.end, gaps[index].isBacked == isBacked {
      gap.length += gaps[index].length
      joined = index..<index + 1
    }
    if index > 0, gaps[index - 1].end == start, gaps[index - 1].isBacked == isBacked {
      gap = Gap(start: gaps[index - 1].start, length: gaps[index - 1].length + gap.length, isBacked: isBacked)
      joined = index - 1..<joined.upperBound
    }
    gaps.replaceSubrange(joined, with: CollectionOfOne(gap))
  }

  /// The start of a block cut from the smallest gap that holds it.
  mutating func take(_ length: Int, backed wanted: Bool) -> Int? {
    var best: Int?
    for (index, gap) in gaps.enumerated() where gap.isBacked == wanted && gap.length >= length {
      if best.map({ gap.length < gaps[$0].length }) ?? true { best = index }
    }
    guard let best else { return nil }
    let start = gaps[best].start
    if wanted { backed -= length }
    gaps[best].start += length
    gaps[best].length -= length
    if gaps[best].length == 0 { gaps.remove(at: best) }
    return start
  }

  /// The resident gap that ends at `end`.
  func last(endingAt end: Int) -> Gap? {
    let index = position(of: end) - 1
    guard index >= 0, gaps[index].end == end, gaps[index].isBacked else { return nil }
    return gaps[index]
  }

  mutating func remove(_ gap: Gap) {
    guard let index = gaps.firstIndex(of: gap) else { return }
    gaps.remove(at: index)
    if gap.isBacked { backed -= gap.length }
  }

  /// Gives pages of at least that many bytes back to the system, those of the largest gaps first.
  mutating func release(_ byteCount: Int, sparing spared: Gap? = nil) {
    var rest = byteCount
    for gap in gaps.filter({ $0.isBacked && $0 != spared }).sorted(by: { $0.length > $1.length }) where rest > 0 {
      remove(gap)
      let length = rest < gap.length ? (rest + BufferPool.page - 1) / BufferPool.page * BufferPool.page : gap.length
      let start = gap.end - length
      madvise(UnsafeMutableRawPointer(bitPattern: start), length, MADV_DONTNEED)
      if length < gap.length { add(gap.start, gap.length - length) }
      add(start, length, isBacked: false)
      rest -= length
    }
  }

  /// The index of the first gap at or behind an address.
  private func position(of address: Int) -> Int {
    var (low, high) = (0, gaps.count)
    while low < high {
      let middle = (low + high) / 2
      if gaps[middle].start < address { low = middle + 1 } else { high = middle }
    }
    return low
  }
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
