import Engine
import PEFTKernel

/// An adapter and what it counts for in a sum.
public struct WeightedAdapter: Sendable {
  /// For messages; empty where there is one adapter only.
  public var name: String
  public var adapter: Adapter
  public var weight: Double

  public init(_ adapter: Adapter, weight: Double = 1, name: String = "") {
    self.name = name
    self.adapter = adapter
    self.weight = weight
  }
}

/// Σ wᵢ·ΔWᵢ of adapters of any methods on one base as plain low-rank factors: s·B·A at every site that one of them stands at.
///
/// Exact where the parts have thin inner dimensions, and then no wider than the sum's numerical rank; else, or with a bound on
/// the rank, the best approximation in the Frobenius norm, its error reported. All in double.
public struct LoRAConversion: Sendable {
  /// What became of a site.
  public struct SiteReport: Sendable, Hashable {
    public var path: String
    /// What the site is for: `attention.query`.
    public var use: String
    /// What the ranks of the parts add up to; the smaller side of the weight where a part is no thin product.
    public var width: Int
    /// Rank of the factors.
    public var rank: Int
    /// ‖ΔW − s·B·A‖ / ‖ΔW‖ in the Frobenius norm; 0 where the factors are the change itself.
    public var error: Double
    /// ‖ΔW‖.
    public var size: Double

    /// Whether the factors are the change up to a file's rounding.
    public var isExact: Bool { error <= Decomposition.hidden }
  }

  public struct Report: Sendable, Hashable {
    public var sites: [SiteReport]

    public var isExact: Bool { sites.allSatisfy(\.isExact) }
    /// The same by what sites are for, in the order they come.
    public var byUse: [(use: String, report: Report)] {
      var uses: [String] = []
      for site in sites where !uses.contains(site.use) { uses.append(site.use) }
      return uses.map { use in (use, Report(sites: sites.filter { $0.use == use })) }
    }
    /// The site of the largest error.
    public var worst: SiteReport? { sites.max { $0.error < $1.error } }
    /// ‖E‖ / ‖ΔW‖ over all sites together.
    public var error: Double {
      let all = sites.reduce(0) { $0 + $1.size * $1.size }
      let lost = sites.reduce(0) { $0 + ($1.error * $1.size) * ($1.error * $1.size) }
      return all > 0 ? (lost / all).squareRoot() : 0
    }
  }

  /// ΔW = scale·up·down, in double.
  public struct Factors: Sendable {
    public var site: Site
    /// B [outputs, rank].
    public var up: Tensor
    /// A [rank, inputs].
    public var down: Tensor
    public var scale: Double
    /// What is added to the base's bias [outputs]; nil for nothing.
    public var bias: Tensor?
    public var report: SiteReport
  }

  public let sites: [Factors]

  public var report: Report { Report(sites: sites.map(\.report)) }

  /// Converts a sum, over the union of its adapters' sites in the order of `order`, of at most `rank` (nil: whatever is exact).
  ///
  /// Refuses adapters whose change depends on the input, changes that are not finite, and, without a bound on the rank, changes of full
  /// rank: as factors they would hold more numbers than the weight.
  public init(_ terms: [WeightedAdapter], order: [Site], rank: Int? = nil) throws(Refusal) {
    if let rank, rank < 1 { throw Refusal("rank is \(rank), but must be an integer of at least 1") }
    var changes: [SiteID: [(change: WeightChange, term: WeightedAdapter)]] = [:]
    for term in terms {
      guard !term.adapter.layout.isEmpty else { throw term.named(Refusal("there is no adapter to export")) }
      guard term.weight.isFinite else { throw term.named(Refusal("its weight is \(term.weight)", remedy: "use a number")) }
      do throws(Refusal) {
        for (site, change) in try term.adapter.changes(as: .float64) { changes[site.id, default: []].append((change, term)) }
      } catch { throw term.named(error) }
    }
    var sites: [Factors] = []
    for site in order {
      guard let parts = changes.removeValue(forKey: site.id) else { continue }
      var delta = SiteDelta(at: site)
      for (change, term) in parts where term.weight != 0 {
        delta.add(change, weight: term.weight, on: term.adapter.bases[site.id])
      }
      sites.append(try Factors(delta, rank: rank))
    }
    guard changes.isEmpty else {
      throw Refusal("the model has no site \(changes.keys.min()?.path ?? ""), where an adapter stands")
    }
    self.sites = sites
  }
}

extension WeightedAdapter {
  /// The refusal with the adapter's name in front.
  func named(_ refusal: Refusal) -> Refusal {
    name.isEmpty ? refusal : Refusal("adapter `\(name)`: \(refusal.reason)", remedy: refusal.remedy)
  }
}

extension LoRAConversion.Factors {
  init(_ delta: SiteDelta, rank limit: Int?) throws(Refusal) {
    let site = delta.site
    guard delta.isFinite else {
      throw Refusal("the change at \(site.id) is not finite", remedy: "use an adapter from before the run diverged")
    }
    let whole = try delta.decomposition()
    let needed = whole.rank(noise: delta.noise)
    if limit == nil, delta.rest != nil, needed * (site.outputs + site.inputs) >= site.outputs * site.inputs {
      throw Self.fullRank(needed, whole, site)
    }
    let rank = min(limit ?? .max, needed)
    // Factors that are no wider than they must be stay what they are, to the bit.
    let pair: FactorPair
    if let stacked = delta.stacked, stacked.rank == rank {
      pair = stacked
    } else if rank == 0 {
      // Files know no rank 0. A without B changes nothing, and can still be trained.
      pair = FactorPair(
        up: .zeros([site.outputs, 1], .float64),
        down: Tensor([1] + [Double](repeating: 0, count: site.inputs - 1), shape: [1, site.inputs], .float64))
    } else {
      pair = whole.pair(rank: rank)
    }
    self.site = site
    up = pair.up
    down = pair.down
    scale = pair.factor
    bias = delta.bias
    report = LoRAConversion.SiteReport(
      path: site.id.path, use: site.use, width: delta.width, rank: pair.rank,
      error: rank < needed ? whole.missed(rank: rank) : 0, size: needed == 0 ? 0 : whole.size)
  }

  private static func fullRank(_ rank: Int, _ whole: Decomposition, _ site: Site) -> Refusal {
    let ranks = [1, 4, 8, 16, 32, 64, 128, 256].filter { 2 * $0 <= rank }.suffix(4)
    let costs = (ranks.isEmpty ? [1] : Array(ranks)).map { k in
      "\(k) misses \((whole.missed(rank: k) * 1000).rounded() / 10) %"
    }
    return Refusal(
      "the change at \(site.id) [\(site.outputs), \(site.inputs)] has rank \(rank), so exact factors would be no smaller than the weight",
      remedy: "merge the adapter, or give a rank (--rank): \(costs.joined(separator: ", ")) of the change here")
  }
}
