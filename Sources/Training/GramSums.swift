import Engine
import PEFTKernel

/// Σ xᵀ·x [inputs, inputs] over the inputs x of sites, in double. Sites that read one input one after another share one sum.
///
/// Belongs to the one caller that runs the passes it is fed from.
public final class GramSums: @unchecked Sendable {
  private let wanted: Set<SiteID>
  private var tensors: [SiteID: Tensor] = [:]
  /// The site whose sum another one shares, and the last input seen with the site it was added for.
  private var owner: [SiteID: SiteID] = [:]
  private var latest: (input: Tensor, site: SiteID)?

  public init(of sites: [Site]) { wanted = Set(sites.map(\.id)) }

  /// Takes in the inputs x [T, inputs] of a site in one pass.
  public func add(_ x: Tensor, at site: SiteID) {
    guard wanted.contains(site) else { return }
    if let latest, latest.input.isSame(as: x) {
      owner[site] = owner[latest.site] ?? latest.site
      return
    }
    latest = (x, site)
    let x = x.converted(to: .float64)
    if tensors[site] == nil { tensors[site] = .zeros([x.columns, x.columns], .float64) }
    tensors[site]?.accumulateProduct(transposed: x, x)
  }

  /// The sum of every site that was seen.
  public var sums: [SiteID: Tensor] {
    var sums = tensors
    for (site, first) in owner { sums[site] = tensors[first] }
    return sums
  }
}
