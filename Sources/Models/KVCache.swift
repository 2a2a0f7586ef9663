import Engine

/// Keys and values of one sequence's positions so far, for generation.
public final class KVCache {
  public let capacity: Int
  /// Positions held.
  public private(set) var count = 0

  init(layers: Int, capacity: Int) { self.capacity = capacity }
}
