import Engine
import PEFTKernel

extension LowRank {
  /// The problem that a reference file states about one adapted site: `trainable.lora_A`, `lora_B` and, where B has one,
  /// its bias are the point; `frozen.lora_A_init`, `lora_B_init` are the factors that the method starts off.
  public static func golden(_ file: GoldenFile, entry: String) throws(Refusal) -> GoldenCase {
    let weight = try file.tensor("weight")
    let site = Site(id: SiteID("site"), outputs: weight.rows, inputs: weight.columns)
    var point = Tensors()
    var gradients: [String: TensorKey] = [:]
    for (name, own) in [
      ("lora_A", "lora_A.weight"), ("lora_B", "lora_B.weight"), ("lora_bias", "lora_B.bias"), ("lora_B.bias", "lora_B.bias"),
    ] {
      guard let value = file.tensors["trainable.\(name)"] else { continue }
      point[TensorKey(own, site.id)] = value
      gradients[name] = TensorKey(own, site.id)
    }
    var problem = GoldenCase(
      entry: entry, options: file.options, sites: [site], weights: [site.id: weight], point: point, gradients: gradients)
    if let down = file.tensors["frozen.lora_A_init"], let up = file.tensors["frozen.lora_B_init"] {
      problem.offset = Tensors([TensorKey("lora_A.weight", site.id): down, TensorKey("lora_B.weight", site.id): up])
    }
    return problem
  }
}

extension GoldenStart {
  /// The site of a file that adapts a single one.
  public var site: Site { sites[0] }

  /// s·B₀·A₀ at it, in double.
  public func delta() throws(Refusal) -> Tensor { try change(start.tensors, at: site).converted(to: .float64) }

  /// What the method calls its frozen weight after the start: W, less the change it starts off.
  public func base() throws(Refusal) -> Tensor {
    guard let weight = weights[site.id]?.converted(to: .float64) else { throw Refusal("no weight for \(site.id)") }
    guard let offset = start.offset else { return weight }
    return weight - (try change(offset, at: site).converted(to: .float64))
  }
}
