import Blocks
import Engine
import PEFTKernel
import Testing

@testable import LoRA

/// Starts by name, over sites of several shapes.
struct LoRAStartTests {
  let sites = [
    Site(id: SiteID("layers.0.q"), outputs: 24, inputs: 40), Site(id: SiteID("layers.0.v"), outputs: 56, inputs: 17),
  ]

  static func strategy(_ name: OptionValue) throws -> any InitStrategy {
    let definition = try AxisRegistry([LoRAMethod.plugin]).initialization(called: name)
    return try #require(definition).make(Options([:]))
  }

  func start(_ name: OptionValue, _ projection: LowRank, seed: UInt64 = 1, over sites: [Site]? = nil) throws -> Adapter {
    let sites = sites ?? self.sites
    let method = Assembly(
      projection: projection, initialization: try Self.strategy(name),
      trainable: TrainableSubset(roles: ["factor-a", "factor-b", "bias"]))
    let layout = try Adapter.layout(method, over: sites)
    let evidence = Evidence(weight: { _ in .zeros([1, 1]) })
    let start = try method.initialization.start(layout, sites, projection, evidence, Moment(seed: seed))
    return try Adapter(
      method, sites: sites, layout: layout, tensors: start.tensors, offset: start.offset, on: Bases(weights: [:]))
  }

  @Test(arguments: ["kaiming", "gaussian"]) func stepZeroIsTheBaseExactly(_ name: String) throws {
    let adapter = try start(.string(name), LowRank(rank: 6, alpha: 12))
    for site in sites {
      let change = try adapter.change(at: site).dense(on: .zeros([site.outputs, site.inputs]))
      #expect(change.largestMagnitude == 0)
      #expect(adapter.tensors["lora_A.weight", site.id].largestMagnitude > 0)
    }
    #expect(adapter.parameterization.initialization.startLaw == .base)
  }

  @Test func orthogonalFactorsCancel() throws {
    let adapter = try start(.string("orthogonal"), LowRank(rank: 6, alpha: 6))
    for site in sites {
      let change = try adapter.change(at: site).dense(on: .zeros([site.outputs, site.inputs]))
      #expect(change.sumOfSquares.squareRoot() < 1e-6)
      #expect(adapter.tensors["lora_A.weight", site.id].sumOfSquares > 0.1)
      #expect(adapter.tensors["lora_B.weight", site.id].sumOfSquares > 0.1)
    }
  }

  @Test func randomIsNotTheBaseAndSaysSo() throws {
    let adapter = try start(.bool(false), LowRank(rank: 4, alpha: 4))
    let (a, b) = (adapter.tensors["lora_A.weight", sites[0].id], adapter.tensors["lora_B.weight", sites[0].id])
    #expect(a.largestMagnitude <= 1 / 40.0.squareRoot() && a.largestMagnitude > 0.9 / 40.0.squareRoot())
    #expect(b.largestMagnitude <= 0.5 && b.largestMagnitude > 0.45)
    #expect(adapter.parameterization.initialization.startLaw == .near)
  }

  @Test func gaussianHasDeviationOneOverRank() throws {
    let wide = Site(id: SiteID("wide"), outputs: 64, inputs: 4096)
    let a = try start(.string("gaussian"), LowRank(rank: 16, alpha: 1), over: [wide]).tensors["lora_A.weight", wide.id]
    let deviation = (a.sumOfSquares / Double(a.count)).squareRoot()
    #expect(abs(deviation * 16 - 1) < 0.01)  // four deviations of the estimate over 65 536 draws
  }

  @Test(arguments: ["kaiming", "gaussian", "random", "orthogonal"]) func drawsDependOnSeedAndNameAlone(_ name: String) throws {
    let projection = LowRank(rank: 4, alpha: 4)
    let first = try start(.string(name), projection)
    let reversed = try start(.string(name), projection, over: sites.reversed())
    let other = try start(.string(name), projection, seed: 2)
    for spec in first.layout {
      #expect(first.tensors[spec.key].values == reversed.tensors[spec.key].values)
    }
    let key = TensorKey("lora_A.weight", sites[0].id)
    #expect(first.tensors[key].values != other.tensors[key].values)
    let twin = Site(id: SiteID("layers.1.q"), outputs: 24, inputs: 40)
    let pair = try start(.string(name), projection, over: [sites[0], twin])
    #expect(pair.tensors[key].values != pair.tensors["lora_A.weight", twin.id].values)
  }

  @Test func refusesByName() {
    func message(_ name: OptionValue, _ projection: LowRank) -> String {
      do {
        _ = try start(name, projection)
        return ""
      } catch { return "\(error)" }
    }
    #expect(message(.string("orthogonal"), LowRank(rank: 5, alpha: 1)).contains("layers.0.q has rank 5"))
    #expect(
      message(.string("gaussian"), LowRank(rank: 4, alpha: 1, hasBias: true)).contains("gaussian does not go with lora_bias"))
    #expect(
      message(.string("orthogonal"), LowRank(rank: 4, alpha: 1, hasBias: true)).contains("orthogonal does not go with lora_bias"))
    #expect(message(.string("kaiming"), LowRank(rank: 4, alpha: 1, hasBias: true)).isEmpty)
    #expect(message(.string("kaiming"), LowRank(rank: 18, alpha: 1)).contains("rank 18 exceeds"))
    #expect(message(.string("kaiming"), LowRank(rank: 18, alpha: 1, allowsExcessRank: true)).isEmpty)
    for rank in [2.5, 1e300, 0.5] {
      #expect(
        message(.string("kaiming"), LowRank(rank: 4, alpha: 1, rankPattern: SitePatterns(["q": rank]))).contains("rank_pattern"))
    }
  }

  @Test func refusesPatternsThatAreNone() throws {
    let given: [String: OptionValue] = ["alpha_pattern": .map(["layers.(0": .int(4)])]
    let options = try Options(given, checkedBy: LowRank.options)
    let error = #expect(throws: Refusal.self) { try LowRank(options) }
    #expect(error?.description.contains("alpha_pattern: `layers.(0` is no regular expression") == true)
    let patterns = SitePatterns(["layers.[01].q": 2, "v": 3])
    #expect(patterns[sites[0]] == 2)
    #expect(patterns[sites[1]] == 3)
    #expect(["layers.2.q", "layers.2.kv"].allSatisfy { patterns[Site(id: SiteID($0), outputs: 1, inputs: 1)] == nil })
  }

  @Test func refusesProjectionsWithoutFactors() throws {
    let method = Assembly(
      projection: NoProjection(), initialization: try Self.strategy(.string("kaiming")), trainable: TrainableSubset(roles: []))
    #expect(throws: Refusal.self) { try Adapter.layout(method, over: sites) }
  }

  @Test func namesOfOthersChooseTheSameStart() throws {
    let registry = try AxisRegistry([LoRAMethod.plugin])
    #expect(registry.initialization(called: .bool(true))?.name == "kaiming")
    #expect(registry.initialization(called: .bool(false))?.name == "random")
    #expect(registry.initialization(called: .string("gaussian"))?.name == "gaussian")
    #expect(registry.initialization(called: .string("olora"))?.name == "olora")
    #expect(registry.initialization(called: .string("corda")) == nil)
  }

  @Test func zeroScaleIsNoted() throws {
    let layout = try LowRank(rank: 2, alpha: 0).layout(of: sites)
    let evidence = Evidence(weight: { _ in .zeros([1, 1]) })
    let start = try Self.strategy(.string("kaiming")).start(layout, sites, LowRank(rank: 2, alpha: 0), evidence, Moment())
    #expect(start.notes.count == 1)
  }
}
