import Catalog
import Conformance
import Engine
import PEFTKernel
import Testing

@testable import VeRA

@Suite struct VeRAConformance {
  /// r + out a site.
  @Test(arguments: Law.all) func upholds(_ law: Law) throws {
    var conformance = MethodConformance(
      registry: try Catalog.registry(), entry: "vera",
      axes: .init(projection: "shared-factors", initialization: "fill", trainable: ["diagonal"]),
      cases: [
        ["rank": .int(3)],
        ["rank": .int(7), "d_initial": .double(0.5), "save_projection": .bool(false), "projection_prng_key": .int(4)],
        // More rows than any site has inputs.
        ["rank": .int(40), "dropout": .double(0.25)],
      ]
    ) { sites, options in sites.reduce(0) { $0 + options.int("rank") + $1.outputs } }
    // λ start at constants, and A and B have a seed of their own.
    conformance.drawsStart = false
    conformance.learningRate = 5e-2
    for failure in law.check(conformance) { Issue.record("\(failure)") }
  }
}

@Suite struct SharedFactorsTests {
  static func site(_ name: String, _ outputs: Int, _ inputs: Int) -> Site {
    Site(id: SiteID(name), outputs: outputs, inputs: inputs)
  }

  /// The first numbers that PEFT draws for key 0, from `rng-interop`'s test vectors.
  @Test func factorsArePEFTs() throws {
    let sites = [Self.site("a", 16, 10), Self.site("b", 9, 24)]
    let layout = try SharedFactors(rank: 8).layout(of: sites).filled(Moment())
    let (down, up) = (layout["vera_A"], layout["vera_B"])
    #expect(down.shape == [8, 24] && up.shape == [16, 8])
    #expect(Array(down.floats[..<3]) == [-0.003743410110473633, 0.26822179555892944, -0.4115225672721863])
    #expect(Array(up.floats[..<3]) == [-0.6108754873275757, 0.038624636828899384, -0.6104908585548401])
  }

  /// ΔW = diag(λ_b)·B[:out]·diag(λ_d)·A[:, :in], entry by entry.
  @Test func sitesUseTheLeadingParts() throws {
    let sites = [Self.site("a", 16, 10), Self.site("b", 9, 24)]
    let projection = SharedFactors(rank: 3, initial: nil, seed: 2)
    let tensors = try Tensors(
      projection.layout(of: sites).filled(Moment(seed: 5)).values.mapValues { $0.converted(to: .float64) })
    for site in sites {
      let base = TensorMap(matrix: .zeros([site.outputs, site.inputs], .float64))
      let change = try projection.change(at: site, tensors, on: base).dense(on: base.matrix).values
      let (a, b) = (tensors["vera_A"].values, tensors["vera_B"].values)
      let (inner, outer) = (tensors["vera_lambda_d", site.id].values, tensors["vera_lambda_b", site.id].values)
      for i in 0..<site.outputs {
        for j in 0..<site.inputs {
          let expected = (0..<3).reduce(0.0) { $0 + outer[i] * b[i * 3 + $1] * inner[$1] * a[$1 * 24 + j] }
          #expect(abs(change[i * site.inputs + j] - expected) < 1e-12)
        }
      }
    }
  }

  /// What A makes of an input is there for the next site that reads it.
  @Test func sitesOfOneInputShareItsProduct() throws {
    let sites = [Self.site("a", 6, 10), Self.site("b", 4, 10)]
    let projection = SharedFactors(rank: 3)
    let tensors = try projection.layout(of: sites).filled(Moment())
    let pass = Pass(now: Moment(), rows: RowLayout(lengths: [2]), sites: sites)
    let x = Tensor(repeating: 1, shape: [2, 10])
    let base = TensorMap(matrix: .zeros([6, 10]))
    _ = projection.output(SiteCall(site: sites[0], input: x, base: base, pass: pass), tensors)
    let change = try projection.change(at: sites[1], tensors, on: base)
    let shared = pass.memo(x, "|" + (change.chains[0].last?.share ?? "")) {
      Issue.record("the product is not shared")
      return x
    }
    #expect(shared.shape == [2, 3])
  }
}
