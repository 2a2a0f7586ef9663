import Engine

/// Keys and values of one sequence's positions so far, so that generation computes each position once.
///
/// A cache belongs to one generation at a time; it is written in place.
public final class KVCache {
  /// The most positions it holds; more are a fault of the caller.
  public let capacity: Int
  /// Positions held.
  public private(set) var count = 0
  private var layers: [(keys: Tensor, values: Tensor)] = []

  init(capacity: Int) { self.capacity = capacity }

  /// Puts the new rows of a layer behind those of the positions before; `count` moves only with `advance`.
  func append(layer: Int, _ keys: Tensor, _ values: Tensor) -> (keys: Tensor, values: Tensor) {
    precondition(count + keys.rows <= capacity, "\(count + keys.rows) positions in a cache of \(capacity)")
    if layer == layers.count {
      layers.append((.zeros([0, keys.columns], keys.scalar), .zeros([0, values.columns], values.scalar)))
    }
    if layers[layer].keys.rows < count + keys.rows { grow(layer, to: count + keys.rows) }
    let stored = layers[layer]
    stored.keys.overwrite(from: count, with: keys)
    stored.values.overwrite(from: count, with: values)
    return stored
  }

  /// Makes room by doubling: a generation that may be long is usually short, and memory goes with what it came to.
  private func grow(_ layer: Int, to positions: Int) {
    let rows = min(capacity, max(positions, 2 * layers[layer].keys.rows, 16))
    func grown(_ old: Tensor) -> Tensor {
      let new = Tensor.zeros([rows, old.columns], old.scalar)
      new.overwrite(from: 0, with: old)
      return new
    }
    layers[layer] = (grown(layers[layer].keys), grown(layers[layer].values))
  }

  func advance(_ positions: Int) { count += positions }

  /// Forgets the positions behind the first `positions`.
  func rewind(to positions: Int) { count = min(count, positions) }
}
