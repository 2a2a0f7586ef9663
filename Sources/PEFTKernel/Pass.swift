import Engine
import Synchronization

/// State that sites of one pass hand to each other.
public protocol Note: AnyObject, Sendable {
  init()
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
  private var notes: [ObjectIdentifier: any Note] = [:]
  private var latest: (input: Tensor, values: [String: Tensor])?

  public init(
    now: Moment, rows: RowLayout, sites: [Site], flags: [Bool]? = nil, observer: (any PairObserver)? = nil
  ) {
    self.observer = observer
    self.now = now
    self.rows = rows
    self.sites = sites
    self.flags = flags
  }

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

  /// The pass's one note of that type, made at first use.
  public func note<N: Note>(_ type: N.Type) -> N {
    if let note = notes[ObjectIdentifier(type)] as? N { return note }
    let note = N()
    notes[ObjectIdentifier(type)] = note
    return note
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
