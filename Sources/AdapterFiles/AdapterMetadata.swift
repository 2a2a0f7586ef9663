import Files
import JSON
import Models
import PEFTKernel

/// What stands in the safetensors file beside the tensors: the scale of every site, without which they mean nothing, the base they
/// belong to, and what their head tells apart. Other readers pass over it.
struct AdapterMetadata {
  private static let scalesKey = "swift_peft.scales"
  private static let digestKey = "swift_peft.base_digest"
  private static let labelsKey = "swift_peft.labels"

  /// By site path; nil where the file does not say.
  var scales: [String: Double]?
  var baseDigest: String?
  /// Of the model's head, nil where it has none or the file does not say.
  var labels: ClassLabels?

  init(scales: [String: Double]?, baseDigest: String?, labels: ClassLabels? = nil) {
    self.scales = scales
    self.baseDigest = baseDigest
    self.labels = labels
  }

  init(_ weights: SafetensorsFile) throws(FileError) {
    baseDigest = weights.metadata[Self.digestKey]
    if let text = weights.metadata[Self.labelsKey] {
      guard let json = try? JSON(parsing: text), let labels = ClassLabels.recorded(in: json) else {
        throw FileError(.badData, weights.path, "metadata \(Self.labelsKey) does not name classes")
      }
      self.labels = labels
    }
    guard let text = weights.metadata[Self.scalesKey] else { return }
    guard let members = (try? JSON(parsing: text))?.members, members.allSatisfy({ $0.value.double != nil }) else {
      throw FileError(.badData, weights.path, "metadata \(Self.scalesKey) is no JSON object of numbers")
    }
    scales = Dictionary(members.map { ($0.key, $0.value.double ?? 0) }) { first, _ in first }
  }

  var pairs: [String: String] {
    var pairs = ["format": "pt"]
    if let scales {
      pairs[Self.scalesKey] = JSON.object(scales.map { .init($0.key, .double($0.value)) }).sorted.text()
    }
    if let baseDigest { pairs[Self.digestKey] = baseDigest }
    if let labels { pairs[Self.labelsKey] = JSON.object(labels.recorded).text() }
    return pairs
  }

  /// Refuses a config whose scales are not those the tensors were trained with.
  func check(_ projection: any Projection, _ sites: [Site], path: String) throws(FileError) {
    guard let scales else { return }
    for site in sites {
      guard let trained = scales[site.id.path] else { continue }
      let scale = projection.scale(at: site)
      guard abs(scale - trained) <= 1e-9 * max(abs(scale), abs(trained)) else {
        throw FileError(
          .badData, path, "gives '\(site.id)' the scale \(scale)", cause: "its tensors were written with \(trained)",
          remedy: "restore rank, alpha and scaling as they were")
      }
    }
  }
}
