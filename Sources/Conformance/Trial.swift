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

  func benches() throws(Refusal) -> [Bench] {
    var benches: [Bench] = []
    for sites in method.places { benches.append(try Bench(assembly, sites)) }
    return benches
  }
}
