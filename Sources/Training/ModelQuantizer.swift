import Blocks
import Engine
import Models
import PEFTKernel

/// Codes the linear maps of a model's layers; embeddings, norms, poolers and heads stay as they are.
public struct ModelQuantizer: Sendable {
  public let model: any Model
  public let quantizer: any Quantizer
  /// C of every site's inputs; needed where the quantizer wants it, and used for measuring where it is there.
  public var grams: [SiteID: Tensor]
  /// Lets the codes leave to an adapter what it can take over, in rounds.
  public var alternation: Alternation?

  /// What became of a site.
  public struct SiteReport: Sendable {
    public var site: Site
    /// In the file, before and after.
    public var before: Int
    public var after: Int
    /// ‖E·Xᵀ‖_F and ‖W·Xᵀ‖_F on the calibration inputs; ‖E‖_F and ‖W‖_F where there are none. E is what the codes leave of W, and
    /// where codes and adapter were found together, what both do.
    public var error: Double
    public var size: Double
  }

  public struct Result: Sendable {
    /// By parameter name.
    public var codes: [String: WeightCodes]
    public var sites: [SiteReport]
    public var notes: [String]
  }

  /// Refuses a model that is quantized already: what was lost once would be lost again.
  public init(
    _ model: any Model, _ quantizer: any Quantizer, grams: [SiteID: Tensor] = [:], alternation: Alternation? = nil
  ) throws(Refusal) {
    try Self.check(model)
    self.model = model
    self.quantizer = quantizer
    self.grams = grams
    self.alternation = alternation
  }

  public static func check(_ model: any Model) throws(Refusal) {
    guard model.quantization != nil else { return }
    throw Refusal(
      "\(model.directory.path) is quantized already, and codes of codes lose twice",
      remedy: "quantize the model it was made from; or write its weights as numbers first, with `peft merge --dtype`")
  }

  /// The sites that are coded, in forward order.
  public static func sites(of model: any Model) -> [Site] {
    let own = Set(model.parameters.map(\.name))
    return model.sites.filter { $0.layer != nil && own.contains($0.id.path + ".weight") }
  }

  /// `done` is told of every site. Cancelling the task ends it between two sites, with a `CancellationError`.
  public func run(done: (SiteReport) -> Void = { _ in }) throws -> Result {
    var result = Result(codes: [:], sites: [], notes: [])
    let parameters = Dictionary(model.parameters.map { ($0.name, $0) }) { first, _ in first }
    for site in Self.sites(of: model) {
      try Task.checkCancellation()
      let name = site.id.path + ".weight"
      let weight = model.base(site.id).weight(as: .float32)
      let gram = grams[site.id]
      let (quantized, error): (QuantizedWeight, Tensor)
      do throws(Refusal) {
        if let alternation {
          (quantized, error) = try alternation.quantized(weight, at: site, gram: gram, quantizer)
        } else {
          quantized = try quantizer.quantized(weight, gram: gram)
          error = quantized.error(of: weight)
        }
      } catch {
        throw Refusal("\(site.id): \(error.reason)", remedy: error.remedy)
      }
      let metric = gram.map { Metric.gram($0) } ?? .frobenius
      let report = SiteReport(
        site: site, before: parameters[name]?.byteCount ?? 0, after: quantized.codes.byteCount, error: metric.length(of: error),
        size: metric.length(of: weight))
      result.codes[name] = quantized.codes
      result.sites.append(report)
      result.notes += quantized.notes.map { "\(site.id): \($0)" }
      done(report)
    }
    return result
  }
}
