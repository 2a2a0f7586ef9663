import Engine
import Files
import Models

/// Examples laid end to end, as a model reads them: attention stays within each text, so nothing is padded.
public struct Batch: Sendable {
  /// The texts' tokens: of pairs, the first text of every example and then the second ones.
  public let ids: [Int32]
  /// Of every token; nil where the model reads none.
  public let types: [Int32]?
  public let rows: RowLayout
  /// Terms of the loss.
  public let labelCount: Int
  private let examples: [Example]

  public init(_ examples: [Example]) {
    self.examples = examples
    labelCount = examples.reduce(0) { $0 + $1.labelCount }
    let pairs = examples.contains { $0.border != nil }
    // Of each example the whole, or both its parts in their turn.
    let parts: [(example: Example, range: Range<Int>)] =
      examples.map { ($0, 0..<(pairs ? $0.border ?? $0.ids.count : $0.ids.count)) }
      + (pairs ? examples.map { ($0, ($0.border ?? $0.ids.count)..<$0.ids.count) } : [])
    ids = parts.flatMap { $0.example.ids[$0.range] }
    types =
      examples.contains { $0.types != nil }
      ? parts.flatMap { part in part.example.types?[part.range] ?? [Int32](repeating: 0, count: part.range.count)[...] } : nil
    rows = RowLayout(lengths: parts.map { $0.example.image?.rows ?? $0.range.count })
  }

  /// What every row predicts: see ``Example/labels``.
  public var labels: [Int32] { examples.flatMap(\.labels) }

  /// The class of every example, −100 for one that has none.
  public var classes: [Int32] {
    examples.map { example in
      guard case .label(let label) = example.target else { return -100 }
      return label
    }
  }

  /// The images [images, channels, height, width].
  func pixels(of shape: ImageShape, _ scalar: ScalarType) -> Tensor {
    let images = examples.compactMap(\.image)
    let values = images.flatMap(\.pixels)
    let tensor = Tensor(values, shape: [images.count, shape.channels, shape.height, shape.width])
    return scalar == .float32 ? tensor : tensor.converted(to: scalar)
  }

  /// Rows that the model computes.
  public var tokenCount: Int { rows.count }
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
  /// Steps whose rows are sorted by length together; nil for none.
  public let groupedSteps: Int?
  public let seed: UInt64

  /// `packedLength` joins examples, in order, into rows of at most that many tokens: what is joined is laid end to end like
  /// everything in a batch, so each example's attention and positions stay its own.
  public init(
    _ examples: [Example], batchSize: Int, accumulation: Int = 1, packedLength: Int? = nil, shuffles: Bool = true,
    groupedSteps: Int? = nil, seed: UInt64 = 0
  ) {
    self.groupedSteps = groupedSteps
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
      let length = examples[index].size
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

  /// SHA-256 over the examples: what is read, and what of it is learned.
  var digest: String {
    var hash = SHA256()
    for example in examples {
      hash.update("\(example.ids.count) \(example.targetText)\n")
      example.ids.withUnsafeBytes { hash.update($0) }
      if let types = example.types { types.withUnsafeBytes { hash.update($0) } }
      if let image = example.image { image.pixels.withUnsafeBytes { hash.update($0) } }
    }
    return hash.hex
  }

  /// Steps that see every example once; the last may be smaller than the others.
  public var stepsPerEpoch: Int { max(1, (groups.count + batchSize * accumulation - 1) / (batchSize * accumulation)) }

  /// The micro-batches of a step counted from 0.
  public func microBatches(at step: Int) -> [Batch] {
    let order = order(of: step / stepsPerEpoch)
    return microBatches(at: step % stepsPerEpoch, of: order).map { Batch(examples(in: order[$0])) }
  }

  /// The rows of a step's first micro-batch.
  func rows(at step: Int) -> Int { firstRows(at: step).count }

  /// The first `rows` rows of a step.
  func batch(at step: Int, rows: Int) -> Batch {
    let order = order(of: step / stepsPerEpoch)
    return Batch(examples(in: order[firstRows(at: step).prefix(rows)]))
  }

  private func firstRows(at step: Int) -> Range<Int> {
    microBatches(at: step % stepsPerEpoch, of: order(of: step / stepsPerEpoch)).first ?? 0..<0
  }

  /// Which group stands where in an epoch.
  private func order(of epoch: Int) -> [Int] {
    var order = Array(groups.indices)
    if shuffles {
      var random = Philox(key: seed).stream("order").stream(UInt64(epoch))
      order.shuffle(using: &random)
    }
    return groupedSteps.map { grouped(order, epoch, steps: $0) } ?? order
  }

  /// The order with rows of similar length side by side: so many steps' rows at a time are sorted, longest first, and
  /// the batches they make are drawn into an order of their own. The epoch's last rows, which fill no batch, stay last.
  private func grouped(_ order: [Int], _ epoch: Int, steps: Int) -> [Int] {
    let lengths = groups.map { $0.reduce(0) { $0 + examples[$1].size } }
    let pool = batchSize * accumulation * steps
    var batches: [[Int]] = []
    var rest: [Int] = []
    for start in stride(from: 0, to: order.count, by: pool) {
      let part = order[start..<min(order.count, start + pool)].enumerated().sorted {
        (lengths[$1.element], $0.offset) < (lengths[$0.element], $1.offset)
      }.map(\.element)
      let whole = part.count - part.count % batchSize
      for first in stride(from: 0, to: whole, by: batchSize) { batches.append(Array(part[first..<first + batchSize])) }
      rest += part[whole...]
    }
    if shuffles {
      var random = Philox(key: seed).stream("lengths").stream(UInt64(epoch))
      batches.shuffle(using: &random)
    }
    return batches.flatMap { $0 } + rest
  }

  /// Where the micro-batches of an epoch's step stand in its order.
  private func microBatches(at step: Int, of order: [Int]) -> [Range<Int>] {
    let size = batchSize * accumulation
    let end = min(order.count, (step + 1) * size)
    return stride(from: min(order.count, step * size), to: end, by: batchSize).map { $0..<min(end, $0 + batchSize) }
  }

  private func examples(in chosen: ArraySlice<Int>) -> [Example] { chosen.flatMap { groups[$0].map { examples[$0] } } }
}

/// How much there is to read.
public struct BatchExtent: Sendable {
  /// Tokens of all steps.
  public var tokens: Int
  /// The examples of the micro-batch with the most tokens.
  public var largest: [Example]
}

extension BatchPlan {
  /// What `steps` steps read in all, and the largest they read at once.
  public func extent(steps: Int) -> BatchExtent {
    let sizes = groups.map { $0.reduce(0) { $0 + examples[$1].size } }
    let epochs = (steps + stepsPerEpoch - 1) / stepsPerEpoch
    var extent = BatchExtent(tokens: steps / stepsPerEpoch * sizes.reduce(0, +), largest: [])
    var most = 0
    // Every epoch has an order of its own; from some hundred on, further ones hardly bring larger batches together.
    let seen = shuffles ? min(epochs, 100) : min(epochs, 1)
    for epoch in Set(0..<seen).union(epochs > 0 ? [epochs - 1] : []).sorted() {
      let order = order(of: epoch)
      let isLast = epoch == epochs - 1 && steps % stepsPerEpoch != 0
      for step in 0..<(isLast ? steps % stepsPerEpoch : stepsPerEpoch) {
        for range in microBatches(at: step, of: order) {
          let size = order[range].reduce(0) { $0 + sizes[$1] }
          if isLast { extent.tokens += size }
          if size > most { (most, extent.largest) = (size, examples(in: order[range])) }
        }
      }
    }
    return extent
  }
}

extension Example {
  /// What is learned, in few words.
  fileprivate var targetText: String {
    switch target {
    case .tokens(let ranges):
      ranges.map { $0.upperBound == ids.count ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: " ")
    case .label(let label): "label \(label)"
    case .partner: "partner \(border ?? 0)"
    case .none: ""
    }
  }
}
