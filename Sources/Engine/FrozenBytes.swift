/// Bytes that nobody writes: of a file that is mapped, or of their own.
public struct FrozenBytes: Sendable {
  let storage: Storage

  /// Memory that somebody else owns; `owner` is kept alive.
  public init(borrowing bytes: UnsafeRawBufferPointer, owner: AnyObject) {
    // Storage is read-only here: nothing in this type writes.
    storage = Storage(
      borrowing: UnsafeMutableRawPointer(mutating: bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 64)!),
      byteCount: bytes.count, owner: owner)
  }

  /// A copy, aligned for any number.
  public init(copying bytes: UnsafeRawBufferPointer) {
    let copy = Copy(bytes)
    self.init(borrowing: UnsafeRawBufferPointer(copy.bytes), owner: copy)
  }

  /// A copy of the values as they lie in memory.
  public init<Value: BitwiseCopyable>(_ values: [Value]) {
    self = values.withUnsafeBytes { FrozenBytes(copying: $0) }
  }

  /// Memory of its own, apart from the pool's: it stays as long as the model does.
  private final class Copy {
    let bytes: UnsafeMutableRawBufferPointer

    init(_ source: UnsafeRawBufferPointer) {
      bytes = .allocate(byteCount: source.count, alignment: 64)
      bytes.copyMemory(from: source)
    }

    deinit { bytes.deallocate() }
  }

  public var count: Int { storage.byteCount }

  /// The bytes as numbers of a type; a rest that is no whole number is left out.
  public func array<Value: BitwiseCopyable>(of type: Value.Type) -> [Value] {
    let count = count / MemoryLayout<Value>.stride
    return [Value](unsafeUninitializedCapacity: count) { buffer, filled in
      UnsafeMutableRawBufferPointer(buffer).copyMemory(
        from: UnsafeRawBufferPointer(start: storage.address, count: count * MemoryLayout<Value>.stride))
      filled = count
    }
  }

  /// The bytes as they lie, for writing them to a file.
  public func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try body(UnsafeRawBufferPointer(start: storage.address, count: count))
  }

  func pointer<Value>(to type: Value.Type) -> UnsafePointer<Value> {
    assert(UInt(bitPattern: storage.address) % UInt(MemoryLayout<Value>.alignment) == 0, "unaligned codes")
    return UnsafePointer(storage.address.assumingMemoryBound(to: Value.self))
  }
}
