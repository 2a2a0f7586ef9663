import Files
import Engine
import JSON
import PEFTKernel

/// What every model of encoders is made of, whatever it computes.
struct ModelBody: Sendable {
  let directory: ModelDirectory
  let modelType: String
  let configuration: JSON
  let sites: [Site]
  let tables: [Site]
  let freshParameters: [String]
  let weights: BaseWeights
  private let maps: [SiteID: FrozenMap]

  /// `maps` are the sites in forward order, `tables` those of embeddings.
  init(
    _ directory: ModelDirectory, _ plan: WeightPlan, _ weights: BaseWeights, maps: [PlannedMap], tables: [Site], isFresh: Bool,
    configuration: JSON
  ) {
    self.directory = directory
    self.weights = weights
    self.configuration = configuration
    modelType = plan.modelType
    sites = maps.map { weights.site($0) }
    freshParameters = plan.tensors.filter { isFresh || $0.isDrawn }.map(\.name)
    self.tables = tables
    let rows = tables.map { ($0.id, FrozenMap(matrix: weights.matrix($0.id.path + ".weight").transposed)) }
    self.maps = Dictionary(maps.map { ($0.site.id, SiteMap($0, weights).frozen) } + rows) { first, _ in first }
  }

  func base(_ id: SiteID) -> any BaseMap {
    guard let map = maps[id] else { preconditionFailure("\(modelType) has no site \(id)") }
    return map
  }
}

/// A model that is one with its body.
protocol BodiedModel: Model {
  var body: ModelBody { get }
}

extension BodiedModel {
  var directory: ModelDirectory { body.directory }
  var modelType: String { body.modelType }
  var configuration: JSON { body.configuration }
  var sites: [Site] { body.sites }
  var tables: [Site] { body.tables }
  var parameters: [BaseParameter] { body.weights.parameters }
  var freshParameters: [String] { body.freshParameters }
  var leftOut: [String] { body.weights.leftOut }
  func parameter(_ name: String) -> Tensor { body.weights.values(name) }
  func base(_ id: SiteID) -> any BaseMap { body.base(id) }
}
