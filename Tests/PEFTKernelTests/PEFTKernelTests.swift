import Engine
import PEFTKernel
import Testing

/// ΔW = the stored matrix itself, or nothing that is a weight change.
private struct Whole: Projection {
  var extent = 3
  var dependsOnInput = false

  func layout(of sites: [Site]) throws(Refusal) -> [TensorSpec] {
    sites.map { TensorSpec(TensorKey("w", $0.id), [extent, extent], .core) }
  }

  func change(at site: Site, _ prepared: Tensors, on base: any BaseMap) throws(Refusal) -> WeightChange {
    if dependsOnInput { throw Refusal("it depends on the input") }
    return WeightChange(bias: prepared["w", site.id].slice(rows: 0..<1).reshaped([extent]))
  }
}

@Suite struct AdapterTests {
  private let site = Site(id: SiteID("site"), outputs: 3, inputs: 3)
  private var key: TensorKey { TensorKey("w", site.id) }

  private func adapter(_ projection: Whole, _ tensors: Tensors, offset: Tensors? = nil) throws(Refusal) -> Adapter {
    let method = Assembly(projection: projection, initialization: FillStart(), trainable: TrainableSubset(roles: ["core"]))
    return try Adapter(
      method, sites: [site], layout: try Adapter.layout(method, over: [site]), tensors: tensors, offset: offset,
      on: Bases(weights: [:]))
  }

  private func reason(_ body: () throws(Refusal) -> Adapter) -> String {
    do throws(Refusal) {
      _ = try body()
      return ""
    } catch { return error.reason }
  }

  @Test func refusesWhatDoesNotFitItsLayout() {
    let (whole, small) = (Tensors([key: .identity(3)]), Tensors([key: .identity(2)]))
    #expect(reason { () throws(Refusal) in try adapter(Whole(), whole, offset: whole) } == "")
    #expect(reason { () throws(Refusal) in try adapter(Whole(), Tensors()) } == "the adapter lacks the tensor site.w")
    #expect(reason { () throws(Refusal) in try adapter(Whole(), small) }.contains("has shape [2, 2]"))
    #expect(
      reason { () throws(Refusal) in try adapter(Whole(), whole, offset: Tensors()) }
        == "the adapter's start lacks the tensor site.w")
    #expect(reason { () throws(Refusal) in try adapter(Whole(), whole, offset: small) }.contains("has shape [2, 2]"))
    let blind = Whole(dependsOnInput: true)
    #expect(reason { () throws(Refusal) in try adapter(blind, whole) } == "")
    #expect(reason { () throws(Refusal) in try adapter(blind, whole, offset: whole) } == "it depends on the input")
  }

  @Test(arguments: [50_000, 1 << 40]) func refusesTensorsNoProductCanCount(_ extent: Int) {
    #expect(
      reason { () throws(Refusal) in try adapter(Whole(extent: extent), Tensors()) }.contains("more than 2147483647 numbers"))
  }

  /// W + (now − start): what an adapter that has not moved adds is nothing, for use and for merging.
  @Test func theStartIsTakenAway() throws {
    let tensors = Tensors([key: .identity(3)])
    let still = try adapter(Whole(), tensors, offset: tensors)
    let x = Tensor([1, 2, 3], shape: [1, 3])
    let base = TensorMap(matrix: .identity(3))
    let pass = Pass(now: Moment(), rows: RowLayout(lengths: [1]), sites: [site])
    #expect(still.attached().output(at: site.id, x, base, pass)?.values == [1, 2, 3])
    #expect(try still.change(at: site).bias?.values == [0, 0, 0])
    #expect(still.attached().output(at: SiteID("elsewhere"), x, base, pass) == nil)
  }
}

@Suite struct MomentTests {
  /// Seed, step, micro-batch, purpose and site each make another stream.
  @Test func drawsDependOnEverythingTheyMay() {
    let site = SiteID("a")
    let moments = (0..<3).flatMap { seed in
      (0..<3).flatMap { step in (0..<3).map { Moment(seed: seed, step: step, microBatch: $0) } }
    }
    let keys = moments.flatMap { moment in
      ["dropout", "start"].flatMap { [moment.random($0).key, moment.random($0, site).key, moment.random($0, SiteID("b")).key] }
    }
    #expect(Set(keys).count == keys.count && keys.count == 27 * 6)
    #expect(Moment(seed: 1).random("dropout", site).key == Moment(mode: .training, seed: 1).random("dropout", site).key)
  }
}

@Suite struct OptionTests {
  private let specs = [
    OptionSpec("table", .table, default: .map([:]), "numbers by pattern"),
    OptionSpec("share", .number(0...1, belowUpper: true), default: .double(0), "a share"),
  ]

  @Test(arguments: [OptionValue.int(0), .int(-1), .double(.infinity), .double(.nan), .string("1")])
  func tablesHoldPositiveNumbers(_ value: OptionValue) {
    #expect(throws: Refusal.self) { try Options(["table": .map(["a": value])], checkedBy: specs) }
  }

  @Test func defaultsFillIn() throws {
    let options = try Options(["table": .map(["a": .int(3)])], checkedBy: specs)
    #expect(options.table("table") == ["a": 3])
    #expect(options.double("share") == 0)
    #expect(throws: Refusal.self) { try Options(["share": .int(1)], checkedBy: specs) }
    #expect(throws: Refusal.self) { try Options(["shard": .int(1)], checkedBy: specs) }
  }
}
