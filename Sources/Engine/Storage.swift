/// A block of memory that belongs to one or several tensors and goes back to the pool when the last one is gone.
///
/// A block is written only while the operation that made it runs; afterwards it is read-only unless its owner can
/// prove that nobody else holds it. That discipline makes sharing it between threads safe.
final class Storage: @unchecked Sendable {
  let address: UnsafeMutableRawPointer
  let byteCount: Int
  /// Keeps borrowed memory (a mapped file) alive; such a block does not belong to the pool.
  private let owner: AnyObject?

  init(byteCount: Int) {
    address = BufferPool.shared.take(byteCount)
    self.byteCount = byteCount
    owner = nil
  }

  init(borrowing address: UnsafeMutableRawPointer, byteCount: Int, owner: AnyObject) {
    self.address = address
    self.byteCount = byteCount
    self.owner = owner
  }

  deinit {
    if owner == nil { BufferPool.shared.give(address, byteCount) }
  }
}
