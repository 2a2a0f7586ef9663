import Engine
import Synchronization

/// State that sites of one pass hand to each other: a value, so that a part of a pass can begin with it twice.
public protocol Note: Sendable {
  init()
  /// Every tensor in it that gradients may come back to; set, it takes as many in the same order.
  var tensors: [Tensor] { get set }
}

/// One forward pass through a model: when it happens, how its rows divide into sequences, what sites noted so far.
///
/// A pass belongs to one caller; sites are visited in forward order.
public final class Pass: @unchecked Sendable {
  public let now: Moment
  /// How the rows of activations divide into sequences.
  public let rows: RowLayout
  /// Every adapted site of the model in forward order.
  public let sites: [Site]
  /// Rows a summary may look at (prompt tokens only, say), 1 or 0 a row; nil where the caller flags none.
  public let flags: [Bool]?
  /// Terms a method adds to the loss, scalars [1] with history, each a mean over this pass's rows or sequences.
  ///
  /// Whoever differentiates a loss adds their sum to it, weighted by the share this pass has in the step: as they are
  /// where the step is one pass, and in proportion to its rows where gradients of several passes accumulate.
  public private(set) var penalties: [Tensor] = []
  /// Who watches the pairs of this pass, nil where nobody does.
  public let observer: (any PairObserver)?
  /// Whether this pass goes through a part of a model a second time, for its gradients: who only watches has seen it all.
  public let isRepeated: Bool
  /// In the order of their first use.
  private var notes: [any Note] = []
  private var latest: (input: Tensor, values: [String: Tensor])?

  public init(
    now: Moment, rows: RowLayout, sites: [Site], flags: [Bool]? = nil, observer: (any PairObserver)? = nil
  ) {
    self.observer = observer
    self.now = now
    self.rows = rows
    self.sites = sites
    self.flags = flags
    isRepeated = false
  }

  private init(like other: Pass, now: Moment, notes: [any Note], isRepeated: Bool) {
    (self.now, rows, sites, flags, observer) = (now, other.rows, other.sites, other.flags, other.observer)
    self.notes = notes
    self.isRepeated = isRepeated
  }

  /// The same pass with nothing noted: for what outlives the notes and must not hold on to them.
  public var blank: Pass { Pass(like: self, now: now, notes: [], isRepeated: isRepeated) }

  /// Adds a term to the loss.
  public func penalize(_ term: Tensor) { penalties.append(term) }

  /// What `make` computes from `input`, once for all sites that read it one after another; `key` says what is computed.
  ///
  /// Only the latest input's values are kept, so that a pass holds on to nothing that its history does not.
  public func memo(_ input: Tensor, _ key: String, _ make: () -> Tensor) -> Tensor {
    if let latest, latest.input.isSame(as: input) {
      if let value = latest.values[key] { return value }
    } else {
      latest = (input, [:])
    }
    let value = make()
    latest?.values[key] = value
    return value
  }

  /// The pass's one note of that type, empty before its first use.
  public subscript<N: Note>(note type: N.Type) -> N {
    get { notes.lazy.compactMap { $0 as? N }.first ?? N() }
    set {
      if let index = notes.firstIndex(where: { $0 is N }) { notes[index] = newValue } else { notes.append(newValue) }
    }
  }
}

extension Pass {
  /// What `part` of the model makes of `x`, keeping little more than x on the way: `part` runs without history, and once more with
  /// it when gradients come back.
  ///
  /// Both times it is given a pass to use in this one's place. What was noted before the part is an input of it, what is noted in
  /// it and its terms of the loss are results: gradients cross the part's borders as if it had run once.
  public func recomputing(_ x: Tensor, _ part: @escaping (_ x: Tensor, _ pass: Pass) -> Tensor) -> Tensor {
    let (blank, before, pinned) = (blank, notes, now.pins?.position)
    func results(_ inputs: [Tensor], isRepeated: Bool) -> (tensors: [Tensor], pass: Pass) {
      var now = blank.now
      // The second time, what was blocked the first.
      if isRepeated { now.pins = pinned.flatMap { now.pins?.replaying(from: $0) } }
      let pass = Pass(like: blank, now: now, notes: before.replacingTensors(by: inputs.dropFirst()), isRepeated: isRepeated)
      let y = part(inputs[0], pass)
      return ([y] + pass.notes.flatMap(\.tensors) + pass.penalties, pass)
    }
    var after: Pass?
    var tensors = Tensor.recomputed(from: [x] + before.flatMap(\.tensors)) { inputs in
      let first = results(inputs, isRepeated: false)
      after = first.pass
      return first.tensors
    } again: {
      results($0, isRepeated: true).tensors
    }[...]
    let y = tensors.removeFirst()
    notes = after?.notes.replacingTensors(by: tensors) ?? notes
    penalties += tensors.suffix(after?.penalties.count ?? 0)
    return y
  }
}

extension [any Note] {
  /// The notes with the first of `tensors` in place of theirs.
  fileprivate func replacingTensors(by tensors: ArraySlice<Tensor>) -> [any Note] {
    var rest = tensors
    return map { note in
      var note = note
      let count = note.tensors.count
      note.tensors = [Tensor](rest.prefix(count))
      rest = rest.dropFirst(count)
      return note
    }
  }
}

/// One use of a site in a pass.
public struct SiteCall {
  public let site: Site
  /// x [T, inputs].
  public let input: Tensor
  public let base: any BaseMap
  public let pass: Pass

  public init(site: Site, input: Tensor, base: any BaseMap, pass: Pass) {
    self.site = site
    self.input = input
    self.base = base
    self.pass = pass
  }

  /// The base's output at this input [T, outputs]. Computed at every use.
  public var baseOutput: Tensor { base(input) }
}
