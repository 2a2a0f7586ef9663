import Engine
import Files

/// One tokenised example.
public struct Example: Sendable, Hashable {
  public var ids: [Int32]
  /// Ids from this index on are learned; the ones before are context.
  public var learnedFrom: Int

  public init(ids: [Int32], learnedFrom: Int = 0) {
    self.ids = ids
    self.learnedFrom = learnedFrom
  }

  /// What row t predicts: the next id where that is to be learned, else −100.
  public var labels: [Int32] {
    ids.indices.map { t in t + 1 < ids.count && t + 1 >= learnedFrom ? ids[t + 1] : -100 }
  }

  /// Labels that count.
  public var labelCount: Int { max(0, ids.count - max(1, learnedFrom)) }
}

/// Examples laid end to end, as a model reads them: attention stays within each, so nothing is padded.
public struct Batch: Sendable {
  public var ids: [Int32]
  public var labels: [Int32]
  public var rows: RowLayout

  public init(_ examples: [Example]) {
    ids = examples.flatMap(\.ids)
    labels = examples.flatMap(\.labels)
    rows = RowLayout(lengths: examples.map(\.ids.count))
  }

  public var labelCount: Int { labels.count { $0 != -100 } }
  public var tokenCount: Int { ids.count }
}

/// Which examples each optimizer step sees: a function of seed and step alone, so that a resumed run goes on as if it
/// had never stopped.
public struct BatchPlan: Sendable {
  public let examples: [Example]
  /// Groups of example indices: one group is one row of a batch (several examples where packing joins them).
  private let groups: [[Int]]
  public let batchSize: Int
  public let accumulation: Int
  public let shuffles: Bool
  public let seed: UInt64

  /// `packedLength` joins examples, in order, into rows of at most that many tokens.
  public init(
    _ examples: [Example], batchSize: Int, accumulation: Int = 1, packedLength: Int? = nil, shuffles: Bool = true,
    seed: UInt64 = 0
  ) {
    self.examples = examples
    self.batchSize = batchSize
    self.accumulation = accumulation
    self.shuffles = shuffles
    self.seed = seed
    guard let packedLength else {
      groups = examples.indices.map { [$0] }
      return
    }
    // First fit over a shuffled order keeps rows full and their company random.
    var order = Array(examples.indices)
    if shuffles {
      var random = Philox(key: seed).stream("packing")
      order.shuffle(using: &random)
    }
    var open: [(room: Int, group: [Int])] = []
    var closed: [[Int]] = []
    for index in order {
      let length = examples[index].ids.count
      if let place = open.firstIndex(where: { $0.room >= length }) {
        open[place].room -= length
        open[place].group.append(index)
        if open[place].room < 8 { closed.append(open.remove(at: place).group) }
      } else {
        open.append((packedLength - length, [index]))
        if open.count > 64 { closed.append(open.removeFirst().group) }
      }
    }
    groups = closed + open.map(\.group)
  }

  /// SHA-256 over the examples: ids and where learning begins.
  var digest: String {
    var hash = SHA256()
    for example in examples {
      hash.update("\(example.ids.count) \(example.learnedFrom)\n")
      example.ids.withUnsafeBytes { hash.update($0) }
    }
    return hash.hex
  }

  /// Steps that see every example once; the last may be smaller than the others.
  public var stepsPerEpoch: Int { max(1, (groups.count + batchSize * accumulation - 1) / (batchSize * accumulation)) }

  /// The micro-batches of a step counted from 0.
  public func microBatches(at step: Int) -> [Batch] {
    let (epoch, within) = (step / stepsPerEpoch, step % stepsPerEpoch)
    var order = Array(groups.indices)
    if shuffles {
      var random = Philox(key: seed).stream("order").stream(UInt64(epoch))
      order.shuffle(using: &random)
    }
    let size = batchSize * accumulation
    let chosen = order[min(order.count, within * size)..<min(order.count, (within + 1) * size)].map { groups[$0] }
    return stride(from: 0, to: chosen.count, by: batchSize).map { start in
      Batch(chosen[start..<min(chosen.count, start + batchSize)].flatMap { $0.map { examples[$0] } })
    }
  }
}
