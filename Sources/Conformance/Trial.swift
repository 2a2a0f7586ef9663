import PEFTKernel
import Registry

/// A method with one case's options, assembled as training assembles it.
struct Trial {
  let method: MethodConformance
  let given: [String: OptionValue]
  let entry: MethodEntry
  let assembly: Assembly

  init(_ method: MethodConformance, _ given: [String: OptionValue]) throws(Refusal) {
    self.method = method
    self.given = given
    entry = try method.registry.entry(method.entry, overriding: given)
    assembly = try method.registry.assemble(entry)
  }

  /// Sets of sites to stand on: single ones of odd shapes, with and without bias, and several at once.
  static let places: [[Site]] = {
    func site(_ path: String, _ outputs: Int, _ inputs: Int, _ layer: Int, bias: Bool) -> Site {
      Site(id: SiteID(path), use: "attention.query", outputs: outputs, inputs: inputs, layer: layer, hasBias: bias)
    }
    return [
      [site("layers.0.wide", 24, 20, 0, bias: false)],
      [site("layers.0.odd", 17, 33, 0, bias: true)],
      [
        site("layers.0.first", 24, 20, 0, bias: true), site("layers.0.second", 24, 20, 0, bias: false),
        site("layers.1.third", 17, 33, 1, bias: true), site("layers.9.last", 16, 18, 9, bias: false),
      ],
    ]
  }()

  func benches() throws(Refusal) -> [Bench] {
    var benches: [Bench] = []
    for sites in Trial.places { benches.append(try Bench(assembly, sites)) }
    return benches
  }
}
