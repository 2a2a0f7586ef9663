import Blocks
import Catalog
import Engine
import Files
import Models
import PEFTKernel
import Registry
import Testing

@testable import AdapterFiles

@Suite("Conversion and sums")
struct ConversionTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  @Test("what two adapters share needs its rank once; what they undo needs none")
  func recompressed() throws {
    let model = try scratch.model("llama")
    let site = model.sites("layers.0.mlp.up_proj")[0]
    let adapter = try lowRank(LowRank(rank: 3, alpha: 6), on: [site])
    func converted(_ a: Double, _ b: Double) throws -> LoRAConversion.Factors {
      try LoRAConversion([WeightedAdapter(adapter, weight: a), WeightedAdapter(adapter, weight: b)], order: [site]).sites[0]
    }
    let twice = try converted(1, 1)
    #expect(twice.report.width == 6 && twice.report.rank == 3 && twice.report.isExact)
    let dense = try adapter.change(at: site).dense(on: .zeros([site.outputs, site.inputs])).converted(to: .float64)
    #expect((twice.up.multiplied(by: twice.down) * twice.scale - dense * 2).largestMagnitude < 1e-7)
    let nothing = try converted(1, -1)
    #expect(nothing.report.rank == 1 && nothing.up.largestMagnitude == 0 && nothing.report.error == 0)
    // A weight of 0 leaves an adapter out, and the other's numbers as they are.
    let alone = try converted(1, 0)
    #expect(alone.up.floats == adapter.tensors["lora_B.weight", site.id].floats)
    #expect(alone.report.width == 3 && alone.scale == 2)
  }

  @Test("sums stand at the union of the sites, methods mixed", arguments: ["llama", "gpt2"])
  func union(_ family: String) throws {
    let model = try scratch.model(family)
    let registry = try Catalog.registry()
    let uni = try registry.entry("uni-lora", overriding: ["rank": .int(2)])
    let first = try drawn(uni, registry, on: model.sites("q_proj", "c_attn"))
    let second = try lowRank(
      LowRank(rank: 2, alpha: 5, scaling: .rslora), on: model.sites("q_proj", "up_proj", "c_attn", "c_fc"), offset: true)
    let terms = [WeightedAdapter(first, weight: 0.5, name: "a"), WeightedAdapter(second, weight: -1.5, name: "b")]
    let report = try LoRAExport.write(sum: terms, of: model, to: scratch["sum"])
    #expect(report.isExact)
    #expect(
      report.sites.map(\.path) == model.sites.map(\.id.path).filter { path in second.sites.contains { $0.id.path == path } })
    let read = try AdapterReader.read(scratch["sum"], for: model, registry: registry).adapter
    for site in second.sites {
      let zero = Tensor.zeros([site.outputs, site.inputs], .float64)
      var expected = try second.change(at: site).dense(on: zero) * -1.5
      if first.sites.contains(site) { expected = expected + (try first.change(at: site).dense(on: zero)) * 0.5 }
      let distance = (try read.change(at: site).dense(on: zero) - expected).sumOfSquares.squareRoot()
      #expect(distance <= 1e-6 * expected.sumOfSquares.squareRoot())
    }
    // The merge of the sum is the base with both changes.
    try Merging.merge(read, into: model, to: scratch["merged"])
    let merged = try ModelLoader.load(scratch["merged"])
    #expect(largestDifference(logits(merged), logits(model, read)) < 2e-5)
  }

  @Test("biases add up; sites without one get zeros, and scales are divided out")
  func biases() throws {
    let model = try scratch.model("gpt2")
    let adapter = try lowRank(LowRank(rank: 2, alpha: 6, hasBias: true), on: model.sites("attn.c_proj"))
    let other = try lowRank(LowRank(rank: 1, alpha: 1), on: model.sites("mlp.c_proj"))
    try LoRAExport.write(
      sum: [WeightedAdapter(adapter, weight: 2), WeightedAdapter(other)], of: model, to: scratch["sum"])
    let read = try AdapterReader.read(scratch["sum"], for: model, registry: Catalog.registry()).adapter
    let site = adapter.sites[0]
    let expected = try #require(try adapter.change(at: site).bias) * 2
    #expect((try #require(try read.change(at: site).bias) - expected).largestMagnitude < 1e-6)
    #expect(try read.change(at: other.sites[0]).bias?.largestMagnitude == 0)
  }

  @Test("a gain on the rows is part of the change: few rows of low rank, all of full rank")
  func gains() throws {
    let (outputs, inputs) = (8, 6)
    let site = Site(id: SiteID("a"), use: "mlp.up", outputs: outputs, inputs: inputs)
    var random = Philox(key: 4)
    let weight = random.normal([outputs, inputs], deviation: 1, .float64)
    let pair: [any LinearMap] = [
      Matrix(random.normal([outputs, 1], deviation: 1, .float64), scale: 2),
      Matrix(random.normal([1, inputs], deviation: 1, .float64)),
    ]
    let base = FrozenMap(matrix: FrozenMatrix(weight))
    for (gain, width) in [([1, 1, 1.5, 1, 1, 0.5, 1, 1], 3), ((0..<outputs).map { 1 + Double($0 + 1) / 10 }, 6)]
      as [([Double], Int)]
    {
      let change = WeightChange(chains: [pair], gain: Tensor(gain, .float64))
      var delta = SiteDelta(at: site)
      delta.add(change, weight: -0.5, on: base)
      #expect((delta.dense - change.dense(on: weight) * -0.5).largestMagnitude < 1e-12)
      #expect(delta.width == width)
      #expect(try delta.decomposition().rank(noise: delta.noise) == width)
      guard width == 6 else { continue }
      do throws(Refusal) {
        _ = try LoRAConversion.Factors(delta, rank: nil)
        Issue.record("a change of full rank was taken")
      } catch {
        #expect(error.reason == "the change at a [8, 6] has rank 6, so exact factors would be no smaller than the weight")
        let missed = try delta.decomposition().missed(rank: 1)
        #expect(
          error.remedy
            == "merge the adapter, or give a rank (--rank): 1 misses \((missed * 1000).rounded() / 10) % of the change here")
      }
      #expect(try LoRAConversion.Factors(delta, rank: 6).report.isExact)
    }
  }

  @Test("refusals name the adapter: what depends on the input, what is not finite, no weight left")
  func refusals() throws {
    let model = try scratch.model("llama")
    let registry = try Catalog.registry()
    let routed = try drawn(
      try registry.entry("queryable-lora", overriding: ["rank": .int(4)]), registry, on: model.sites("q_proj"))
    let plain = try lowRank(LowRank(rank: 1, alpha: 1), on: model.sites("q_proj"))
    func said(_ terms: [WeightedAdapter]) -> String {
      message(scratch) { _ = try LoRAExport.write(sum: terms, of: model, to: scratch["no"]) }
    }
    #expect(
      said([WeightedAdapter(plain, name: "a"), WeightedAdapter(routed, name: "b")])
        .hasPrefix("adapter `b`: queryable-lora picks another update for every token"))
    #expect(said([WeightedAdapter(plain, weight: .nan, name: "a")]) == "adapter `a`: its weight is nan; use a number")
    var broken = plain
    broken.tensors[plain.layout[0].key] = Tensor(repeating: .infinity, shape: plain.layout[0].shape)
    #expect(said([WeightedAdapter(broken)]).hasSuffix("is not finite; use an adapter from before the run diverged"))
    #expect(!Folder.exists(scratch["no"]))
  }
}

@Suite("Adapters by name")
struct AdapterBankTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  @Test("switching by name computes what each computes alone, and none of them the base, to the bit")
  func switching() throws {
    let model = try scratch.model("llama")
    let one = try lowRank(LowRank(rank: 2, alpha: 4), on: model.sites("q_proj"))
    let two = try lowRank(LowRank(rank: 3, alpha: 9), on: model.sites("up_proj"), offset: true)
    var bank = AdapterBank(on: model)
    try bank.add(one, as: "one")
    try bank.add(two, as: "two")
    #expect(bank.inUse == nil && bank.names == ["one", "two"])
    let (base, first, second) = (logits(model), logits(model, one), logits(model, two))
    for (name, expected) in [("two", second), ("base", base), ("one", first), ("two", second)] {
      try bank.use(name)
      #expect(logits(model, bank.active) == expected)
    }
    try bank.remove("two")
    #expect(bank.inUse == nil && bank.active == nil && bank.attached() == nil)
    #expect(logits(model, bank.active) == base)
  }

  @Test("refusals: unknown names with the nearest, names that are taken or none, other models, weights")
  func refusals() throws {
    let model = try scratch.model("llama")
    let adapter = try lowRank(LowRank(rank: 2, alpha: 4), on: model.sites("q_proj"))
    let stranger = try lowRank(LowRank(rank: 2, alpha: 4), on: try scratch.model("gpt2").sites("c_attn"))
    var bank = AdapterBank(on: model)
    try bank.add(adapter, as: "maths")
    try bank.add(adapter, as: "poems")
    func said(_ body: (inout AdapterBank) throws -> Void) -> String {
      var copy = bank
      return message(scratch) { try body(&copy) }
    }
    #expect(said { try $0.use("math") } == "there is no adapter `math`; did you mean `maths`?")
    #expect(said { try $0.use("x") } == "there is no adapter `x`; known: maths, poems, base")
    #expect(
      said { try $0.add(adapter, as: "maths") } == "two adapters are called `maths`; give each a name of its own: NAME=FOLDER")
    #expect(
      said { try $0.add(adapter, as: "base") }
        == "no adapter can be called `base`: that is the model without one; choose another name")
    #expect(
      said { try $0.add(adapter, as: "a b") } == "`a b` is no name for an adapter; use a word without blanks, `=`, `,` and `/`")
    #expect(said { try $0.add(stranger, as: "s") }.hasPrefix("adapter `s` stands at transformer.h.0.attn.c_attn"))
    #expect(said { _ = try $0.terms(["maths": 1]) } == "there is no weight for `poems`; write `poems=0` to leave it out")
    #expect(said { _ = try $0.terms(["maths": 1, "poem": 1]) } == "there is no adapter `poem`; did you mean `poems`?")
    #expect(
      said { _ = try $0.terms(["maths": 0, "poems": 0]) } == "every weight is 0, so nothing is left of the adapters; use the base"
    )
    #expect(try bank.terms(["maths": 1, "poems": -2]).map(\.weight) == [1, -2])
  }
}

@Suite("Unmerging")
struct UnmergingTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  private func bytes(_ folder: String) throws -> [String: [UInt8]] {
    var files: [String: [UInt8]] = [:]
    for name in try Folder.names(in: folder) { files[name] = try MappedFile("\(folder)/\(name)").withBytes { Array($0) } }
    return files
  }

  @Test("gives back the base's bytes, whatever the merge rounded to, and in a chain of merges")
  func bytes() throws {
    let model = try scratch.model("llama", dtype: .bf16)
    try WholeFile.write("{\"a\":1}", to: model.directory.path + "/tokenizer.json")
    let base = try bytes(model.directory.path)
    let adapter = try lowRank(LowRank(rank: 2, alpha: 4), on: model.sites("q_proj"))
    try Merging.merge(adapter, into: model, dtype: .f16, to: scratch["one"])
    #expect(try bytes(scratch["one"])["model.safetensors"] != base["model.safetensors"])
    let record = try Unmerging.unmerge(scratch["one"], to: scratch["back"])
    #expect(try bytes(scratch["back"]) == base)
    #expect(try bytes(model.directory.path) == base)
    #expect(record.baseFiles.map(\.name) == ["config.json", "model.safetensors", "tokenizer.json"])
    #expect(try record.baseDigest == model.directory.digest())
    #expect(record.adapter == nil)
    let one = try bytes(scratch["one"])
    try Merging.merge(adapter, into: ModelLoader.load(scratch["one"]), to: scratch["two"])
    try Unmerging.unmerge(scratch["two"], to: scratch["one-again"])
    #expect(try bytes(scratch["one-again"]) == one)
    try Unmerging.unmerge(scratch["one-again"], existing: .replace, to: scratch["back"])
    #expect(try bytes(scratch["back"]) == base)
  }

  @Test("refusals: no merge, another base, a changed byte, the base itself")
  func refusals() throws {
    let model = try scratch.model("llama")
    let path = model.directory.path
    let adapter = try lowRank(LowRank(rank: 2, alpha: 4), on: model.sites("q_proj"))
    try Merging.merge(adapter, into: model, to: scratch["merged"])
    func said(_ merged: String = "merged", base: String? = nil, to folder: String? = "no") -> String {
      message(scratch) {
        try Unmerging.unmerge(scratch[merged], base: base, existing: .replace, to: folder.map { scratch[$0] })
      }
    }
    #expect(
      said("llama-1-own")
        == "llama-1-own: has no merge_record.json (no merge wrote this directory); give a directory that `merge` wrote")
    #expect(said("nowhere").hasPrefix("nowhere: has no merge_record.json (there is no such directory)"))
    #expect(said(to: "llama-1-own").hasSuffix("is an input and is not replaced; write to another folder"))
    #expect(said(to: "merged").hasSuffix("is an input and is not replaced; write to another folder"))
    let other = try scratch.model("llama", seed: 2)
    #expect(
      said(base: other.directory.path)
        == "llama-2-own/model.safetensors: is not the file that merged was merged from: its SHA-256 differs; give the base as it was"
    )
    #expect(said(to: nil) == "nothing was thrown")
    var config = try MappedFile(path + "/config.json").withBytes { Array($0) }
    config.append(0x20)
    try WholeFile.write(config, to: path + "/config.json")
    #expect(said().hasPrefix("llama-1-own/config.json: is not the file that merged was merged from"))
    try Folder.remove(path + "/config.json")
    #expect(said() == "llama-1-own/config.json: does not exist (merged was merged from it); give the base as it was")
    try WholeFile.write("{\"format\": 2}", to: scratch["merged/merge_record.json"])
    #expect(said() == "merged/merge_record.json: has format 2 (this version reads up to 1); use a newer version")
    try WholeFile.write(
      "{\"format\":1,\"base\":\"b\",\"base_digest\":\"d\",\"base_files\":{\"../x\":{\"bytes\":1,\"sha256\":\"\"}}}",
      to: scratch["merged/merge_record.json"])
    #expect(
      said()
        == "merged/merge_record.json: base_files: '../x' is no file with bytes and sha256; restore the file as it was written")
    #expect(!Folder.exists(scratch["no"]))
  }
}
