import Blocks
import Catalog
import Engine
import Files
import JSON
import Models
import PEFTKernel
import Registry
import Testing

@testable import AdapterFiles

@Suite("Export to plain LoRA")
struct ExportTests {
  let scratch: Scratch
  let registry: MethodRegistry

  init() throws {
    scratch = try Scratch()
    registry = try Catalog.registry()
  }

  @Test(
    "the exported adapter computes the same", arguments: ["llama", "gpt2"],
    [
      ("lora", ["rank": .int(3), "rank_pattern": .map(["0.*": .int(2)])], false, 3),
      ("lora-ga", ["rank": .int(4)], true, 8), ("uni-lora", ["rank": .int(2)], false, 2),
      ("queryable-lora", ["rank": .int(4), "atoms": .int(1), "top_k": .int(1)], false, 4),
    ] as [(String, [String: OptionValue], Bool, Int)])
  func exact(_ family: String, _ method: (name: String, options: [String: OptionValue], hasOffset: Bool, rank: Int)) throws {
    let model = try scratch.model(family)
    let entry = try registry.entry(method.name, overriding: method.options)
    let adapter = try drawn(
      entry, registry, on: model.sites("q_proj", "v_proj", "c_attn", "mlp.c_proj"), offset: method.hasOffset)
    let report = try LoRAExport.write(adapter, of: model, to: scratch["out"])
    #expect(report.isExact)
    #expect(report.sites.map(\.rank).max() == method.rank)
    let read = try AdapterReader.read(scratch["out"], for: model, registry: registry)
    #expect(read.entry.name == "lora")
    #expect(read.adapter.offset == nil)
    #expect(largestDifference(logits(model, read.adapter), logits(model, adapter)) < 2e-5)
    #expect(largestDifference(logits(model), logits(model, adapter)) > 1e-4)
  }

  @Test("a start off the base stands in the file as [A; A₀] and [B, −B₀], its numbers untouched")
  func stacked() throws {
    let model = try scratch.model("llama")
    let site = model.sites("layers.0.self_attn.k_proj")[0]
    let adapter = try lowRank(LowRank(rank: 3, alpha: 7), on: [site], offset: true)
    try LoRAExport.write(adapter, of: model, to: scratch["out"])
    let file = try SafetensorsFile(scratch["out/adapter_model.safetensors"])
    let config = try TextFile.readJSON(scratch["out/adapter_config.json"])
    let (a, b) = (TensorKey("lora_A.weight", site.id), TensorKey("lora_B.weight", site.id))
    let offset = try #require(adapter.offset)
    #expect(
      try file.floats(of: "base_model.model.\(a)") == Tensor.joinedRows([adapter.tensors[a], offset[a]]).floats)
    #expect(
      try file.floats(of: "base_model.model.\(b)") == Tensor.joinedColumns([adapter.tensors[b], offset[b] * -1]).floats)
    // As PEFT converts: rank and alpha double.
    #expect(config["r"] == 6)
    #expect(config["lora_alpha"]?.double == 14)
    #expect(config["init_lora_weights"] == true)
  }

  @Test("a bound on the rank gives the best approximation, and its error")
  func truncated() throws {
    let model = try scratch.model("llama")
    let site = model.sites("layers.0.mlp.up_proj")[0]
    let adapter = try lowRank(LowRank(rank: 6, alpha: 6), on: [site])
    let report = try LoRAExport.write(adapter, of: model, rank: 2, to: scratch["out"])
    let read = try AdapterReader.read(scratch["out"], for: model, registry: registry).adapter
    let zero = Tensor.zeros([site.outputs, site.inputs], .float64)
    let (whole, part) = (try adapter.change(at: site).dense(on: zero), try read.change(at: site).dense(on: zero))
    let singular = try LinearAlgebra.svd(whole).s.map { $0 * $0 }
    let best = (singular.dropFirst(2).reduce(0, +) / singular.reduce(0, +)).squareRoot()
    #expect(abs(report.sites[0].error - best) < 1e-6)
    #expect(abs(((whole - part).sumOfSquares / whole.sumOfSquares).squareRoot() - best) < 1e-6)
    #expect(report.sites[0].rank == 2)
    #expect(!report.isExact)
    #expect(
      message(scratch) { _ = try LoRAExport.write(adapter, of: model, rank: 0, to: scratch["no"]) }
        == "rank is 0, but must be an integer of at least 1")
  }

  @Test("a chain is cut at its narrowest seam")
  func cut() throws {
    var random = Philox(key: 1)
    let maps = [[9, 7], [7, 2], [2, 8], [8, 5]].map { Matrix(random.normal($0, deviation: 1, .float64), scale: 2) }
    let pair = try #require(FactorPair(maps))
    #expect(pair.up.shape == [9, 2])
    #expect(pair.down.shape == [2, 5])
    let product = maps.dropFirst().reduce(maps[0].dense()) { $0.multiplied(by: $1.dense()) }
    #expect((pair.dense - product).largestMagnitude < 1e-10)
    // The factors at the seam stand as they are; what they keep apart stays apart.
    #expect(FactorPair(Array(maps[1...2]))?.up.isSame(as: maps[1].values) == true)
    #expect(FactorPair(Array(maps[1...2]))?.factor == 4)
    for shapes in [[[3, 5]], [[3, 4], [4, 5]], [[5, 3], [3, 3]]] {
      #expect(FactorPair(shapes.map { Matrix(random.normal($0, deviation: 1, .float64)) }) == nil)
    }
  }
}

@Suite("Rounding once")
struct RoundingTests {
  @Test("through floats to halves is as near as the type has", arguments: [StoredType.bf16, .f16])
  func nearest(_ type: StoredType) throws {
    var random = Philox(key: 5)
    // On and beside ties: a half between two neighbours, and a hair off it that a float cannot hold.
    var values: [Double] = [0, -0.0, 1e-30, 3e-8, 0x1p-25, 0x1.0000001p-25, 65_519.99, -1]
    for _ in 0..<2000 {
      let x = Double(Float(random.normal()))
      let short = type == .bf16 ? HalfFloat.float(bf16: HalfFloat.bf16(Float(x))) : HalfFloat.float(f16: HalfFloat.f16(Float(x)))
      let unit = Double(short.magnitude).binade * (type == .bf16 ? 0x1p-8 : 0x1p-11)
      values += [Double(short) + unit, Double(short) + unit * (1 + 0x1p-40), Double(short) + unit * (1 - 0x1p-40), x]
    }
    for (value, float) in zip(values, Rounding.floats(values, for: type)) {
      let bits = type == .bf16 ? HalfFloat.bf16(float) : HalfFloat.f16(float)
      func number(_ bits: UInt16) -> Double { Double(type == .bf16 ? HalfFloat.float(bf16: bits) : HalfFloat.float(f16: bits)) }
      let error = abs(number(bits) - value)
      for other in [bits &+ 1, bits &- 1] where number(other).isFinite {
        let beside = abs(number(other) - value)
        #expect(error < beside || (error == beside && bits & 1 == 0), "\(value)")
      }
    }
  }

  @Test("what is too large for a type is known")
  func limits() {
    #expect(Rounding.fits(65_519.9, .f16))
    #expect(!Rounding.fits(65_520, .f16))
    #expect(Rounding.fits(3.39e38, .bf16))
    #expect(!Rounding.fits(0x1.FFp127, .bf16))
    #expect(!Rounding.fits(1e39, .f32))
    #expect(!Rounding.fits(.nan, .f32))
  }
}
