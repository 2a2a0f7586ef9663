import Engine

/// Keys and values of one sequence's positions so far, so that generation computes each position once.
///
/// A cache belongs to one generation; it is written in place.
public final class KVCache {
  /// The most positions it holds; more are a fault of the caller.
  public let capacity: Int
  /// Positions held.
  public private(set) var count = 0
  private var layers: [(keys: Tensor, values: Tensor)] = []

  init(capacity: Int) { self.capacity = capacity }

  /// Forgets every position.
  public func clear() { count = 0 }

  /// Puts the new rows of a layer behind those of the positions before; `count` moves only with `advance`.
  func append(layer: Int, _ keys: Tensor, _ values: Tensor) -> (keys: Tensor, values: Tensor) {
    precondition(count + keys.rows <= capacity, "\(count + keys.rows) positions in a cache of \(capacity)")
    if layer == layers.count {
      layers.append(
        (.zeros([capacity, keys.columns], keys.scalar), .zeros([capacity, values.columns], values.scalar)))
    }
    let stored = layers[layer]
    stored.keys.overwrite(from: count, with: keys)
    stored.values.overwrite(from: count, with: values)
    return stored
  }

  func advance(_ positions: Int) { count += positions }
}
