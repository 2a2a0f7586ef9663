import AdapterFiles
import Blocks
import Engine
import Files
import JSON
import Models
import PEFTKernel
import Testing

/// Model directories that hold codes: written, read, refused.
@Suite struct QuantizedModelTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  static func quantizers() throws -> [(any Quantizer, QuantizationConfig)] {
    let grids = try [2, 3, 4, 8].map { bits in
      (
        try IntegerQuantizer(IntegerGrid(bits: bits, groupSize: 16, isSymmetric: bits == 3)) as any Quantizer,
        QuantizationConfig(method: "rtn", scheme: .grid(bits: bits, groupSize: 16))
      )
    }
    let normal = try [false, true].map { isNested in
      (
        try NormalFloat(blockSize: 32, isNested: isNested) as any Quantizer,
        QuantizationConfig(method: "nf4", scheme: .normalFloat(blockSize: 32, isNested: isNested))
      )
    }
    return grids + normal
  }

  func sites(_ model: any LanguageModel) -> [Site] { model.sites.filter { $0.layer != nil } }

  func codes(_ model: any LanguageModel, _ quantizer: any Quantizer) throws -> [String: WeightCodes] {
    var codes: [String: WeightCodes] = [:]
    for site in sites(model) {
      codes[site.id.path + ".weight"] =
        try quantizer.quantized(model.base(site.id).weight(as: .float32), gram: nil).codes
    }
    return codes
  }

  /// The model with every weight replaced by what its codes decode to.
  func dense(_ model: any LanguageModel, _ codes: [String: WeightCodes], _ name: String) throws -> any LanguageModel {
    var values: [String: Tensor] = [:]
    for site in sites(model) {
      let weight = site.id.path + ".weight"
      values[weight] = codes[weight].map { FrozenMatrix($0, isTransposed: model.base(site.id).isTransposed).stored() }
    }
    try ModelWriter.write(model, replacing: values, to: scratch[name])
    return try ModelLoader.load(scratch[name])
  }

  @Test(arguments: ["llama", "gpt2"], 0..<6) func computesWhatItsCodesSay(_ family: String, _ index: Int) throws {
    let model = try scratch.model(family)
    let (quantizer, config) = try Self.quantizers()[index]
    let codes = try codes(model, quantizer)
    try ModelWriter.write(model, codes: codes, config, to: scratch["coded"])
    let coded = try ModelLoader.load(scratch["coded"])
    let plain = try dense(model, codes, "plain")
    #expect(largestDifference(logits(coded), logits(plain)) < 1e-5)
    #expect(largestDifference(logits(coded), logits(model)) > 1e-4)

    let read = try #require(coded.quantization)
    #expect(read.scheme == config.scheme && read.method == config.method && read.layout == .rows)
    for site in coded.sites {
      #expect(site.isQuantized == (site.layer != nil) && coded.base(site.id).isQuantized == site.isQuantized)
      #expect(coded.base(site.id).isTransposed == model.base(site.id).isTransposed)
    }
    #expect(coded.parameters.map(\.name) == model.parameters.map(\.name))
    for (ours, theirs) in zip(coded.parameters, model.parameters) {
      #expect(ours.shape == theirs.shape && ours.isQuantized == (codes[ours.name] != nil))
      #expect(ours.byteCount == codes[ours.name]?.byteCount ?? theirs.byteCount)
      #expect(coded.parameter(ours.name).floats == plain.parameter(ours.name).floats)
    }
    // What is not coded is as it was, byte for byte.
    for name in coded.directory.tensorNames where model.directory.entry(name) != nil {
      #expect(try Array(coded.directory.bytes(of: name)) == Array(model.directory.bytes(of: name)))
    }
    #expect(try coded.directory.digest() != model.directory.digest())
  }

  @Test(arguments: families) func mergingGivesNumbers(_ family: String) throws {
    let model = try scratch.model(family, dtype: .bf16)
    let (quantizer, config) = try Self.quantizers()[2]
    try ModelWriter.write(model, codes: try codes(model, quantizer), config, to: scratch["coded"])
    let coded = try ModelLoader.load(scratch["coded"])
    let adapter = try lowRank(LowRank(rank: 4, alpha: 6), on: [sites(coded)[0]])
    let report = try Merging.merge(adapter, into: coded, dtype: .f32, to: scratch["merged"])
    #expect(report.notes.contains { $0.contains("quantized") })
    let merged = try ModelLoader.load(scratch["merged"])
    #expect(merged.quantization == nil && merged.parameters.allSatisfy { !$0.isQuantized && $0.type == .f32 })
    #expect(merged.directory.tensorNames == model.directory.tensorNames)
    #expect(largestDifference(logits(merged), logits(coded, adapter)) < 2e-5)
    // Without a type of its own, in that of the weights that were never coded.
    try Merging.merge(adapter, into: coded, to: scratch["merged-16"])
    #expect(try ModelLoader.load(scratch["merged-16"]).parameters.allSatisfy { $0.type == .bf16 })
  }

  @Test(arguments: [ExchangeCodes.Version.one, .two], ["llama", "gpt2"])
  func readsTheExchangeLayout(_ version: ExchangeCodes.Version, _ family: String) throws {
    let model = try scratch.model(family)
    let codes = try codes(model, IntegerQuantizer(IntegerGrid(bits: 4, groupSize: 16)))
    let plain = try dense(model, codes, "plain")
    try exchange(model, codes, version)
    #expect(largestDifference(logits(try ModelLoader.load(scratch["exchange"])), logits(plain)) < 1e-5)
    try exchange(model, codes, version) { indices in indices.swapAt(0, 40) }
    #expect(message(scratch) { _ = try ModelLoader.load(scratch["exchange"]) }.contains("grouped out of order (g_idx)"))
  }

  func exchange(
    _ model: any LanguageModel, _ codes: [String: WeightCodes], _ version: ExchangeCodes.Version,
    _ edit: (inout [Int32]) -> Void = { _ in }
  ) throws {
    var tensors: [SafetensorsWriter.Tensor] = []
    for name in model.directory.tensorNames {
      guard case .grid(let grid)? = codes[name], let exchange = ExchangeCodes(grid, version: version) else {
        let entry = try #require(model.directory.entry(name))
        tensors.append(.init(copying: entry, of: try #require(model.directory.shard(name))))
        continue
      }
      func words(_ ending: String, _ rows: Int, _ values: [Int32]) -> SafetensorsWriter.Tensor {
        .init(
          name: name.dropLast("weight".count) + ending, dtype: .i32,
          shape: rows == 1 ? [values.count] : [rows, values.count / rows]
        ) { (sink) throws(FileError) in
          let result = values.withUnsafeBytes { raw in Result { () throws(FileError) in try sink(raw) } }
          try result.get()
        }
      }
      var indices = exchange.groupIndices
      edit(&indices)
      let groups = grid.columns / 16
      tensors += [
        words("qweight", grid.columns * 4 / 32, exchange.weight), words("qzeros", groups, exchange.zeros),
        words("g_idx", 1, indices),
        .init(name: name.dropLast("weight".count) + "scales", shape: [groups, grid.rows], floats: exchange.scales),
      ]
    }
    try? Folder.remove(scratch["exchange"])
    try Folder.create(scratch["exchange"])
    try SafetensorsWriter.write(tensors, to: scratch["exchange/model.safetensors"])
    var members = model.directory.config.members ?? []
    members.append(
      .init(
        "quantization_config",
        [
          "quant_method": "gptq", "bits": 4, "group_size": 16, "desc_act": false,
          "checkpoint_format": .string(version == .two ? "gptq_v2" : "gptq"),
        ]))
    try WholeFile.write(JSON.object(members).text(), to: scratch["exchange/config.json"])
  }

  // MARK: Refusals

  /// What loading says of a quantized directory with a config value or the tensors changed.
  func refusal(
    _ index: Int = 2, config key: String = "", _ value: JSON = .null, _ edit: (inout [StoredTensor]) -> Void = { _ in }
  ) throws -> String {
    let model = try scratch.model("llama")
    let (quantizer, config) = try Self.quantizers()[index]
    try? Folder.remove(scratch["coded"])
    try ModelWriter.write(model, codes: try codes(model, quantizer), config, to: scratch["coded"])
    var members = try #require(TextFile.readJSON(scratch["coded/config.json"]).members)
    if !key.isEmpty, let at = members.firstIndex(where: { $0.key == "quantization_config" }) {
      var object = members[at].value.members ?? []
      object.removeAll { $0.key == key }
      if !value.isNull { object.append(.init(key, value)) }
      members[at].value = .object(object)
      try Folder.remove(scratch["coded/config.json"])
      try WholeFile.write(JSON.object(members).text(), to: scratch["coded/config.json"])
    }
    let file = try SafetensorsFile(scratch["coded/model.safetensors"])
    var stored = try file.tensors.map { entry in
      StoredTensor(name: entry.name, shape: entry.shape, floats: try file.floats(of: entry.name), dtype: entry.dtype)
    }
    let before = stored.map { "\($0.name) \($0.shape) \($0.floats) \($0.dtype)" }
    edit(&stored)
    if before != stored.map({ "\($0.name) \($0.shape) \($0.floats) \($0.dtype)" }) {
      let tensors = try stored.map { tensor -> SafetensorsWriter.Tensor in
        if let entry = file.entry(tensor.name), entry.dtype == tensor.dtype, entry.shape == tensor.shape,
          try file.floats(of: tensor.name) == tensor.floats
        {
          return .init(copying: entry, of: file)
        }
        guard tensor.dtype == .u8 else { return .init(name: tensor.name, shape: tensor.shape, floats: tensor.floats) }
        return .init(name: tensor.name, dtype: .u8, shape: tensor.shape) { (sink) throws(FileError) in
          let bytes = tensor.floats.map { UInt8($0) }
          let result = bytes.withUnsafeBytes { raw in Result { () throws(FileError) in try sink(raw) } }
          try result.get()
        }
      }
      try SafetensorsWriter.write(tensors, to: scratch["other.safetensors"])
      try Folder.remove(scratch["coded/model.safetensors"])
      let bytes = try MappedFile(scratch["other.safetensors"]).withBytes { Array($0) }
      try WholeFile.write(bytes, to: scratch["coded/model.safetensors"])
      try Folder.remove(scratch["other.safetensors"])
    }
    return message(scratch) { _ = try ModelLoader.load(scratch["coded"]) }
  }

  static let weight = "model.layers.0.mlp.down_proj.weight"

  @Test func untouchedDirectoriesLoad() throws { #expect(try refusal() == "nothing was thrown") }

  @Test func configsThatSayNothingSensible() throws {
    #expect(try refusal(config: "scheme", "awq").contains("quantization_config.scheme: \"awq\" is not supported"))
    #expect(try refusal(config: "scheme").contains("quantization_config.scheme is missing"))
    #expect(try refusal(config: "bits", 5).contains("quantization_config.bits: 5 does not fit"))
    #expect(try refusal(config: "bits", "4").contains("quantization_config.bits: \"4\" does not fit"))
    #expect(try refusal(config: "bits").contains("quantization_config.bits"))
    #expect(try refusal(config: "group_size", 0).contains("quantization_config.group_size: 0 does not fit"))
    #expect(try refusal(config: "group_size", -7).contains("quantization_config.group_size: -7 does not fit"))
    #expect(try refusal(config: "group_size", 9_223_372_036_854_775_807).contains("group_size"))
    #expect(try refusal(config: "group_size", 7).contains("groups of 7 do not divide its 64 inputs"))
    #expect(try refusal(config: "bits", 8).contains("codes have the shape [64, 8], but [64, 16] is due"))
    #expect(try refusal(config: "quant_method", "bitsandbytes").contains("\"bitsandbytes\" is not supported"))
    #expect(try refusal(config: "origin", "elsewhere").contains("quantization_config.origin"))
    #expect(try refusal(4, config: "block_size", 48).contains("block_size: 48 does not fit"))
    #expect(try refusal(4, config: "block_size", 64).contains("absmax have the shape [128], but [64] is due"))
    #expect(try refusal(5, config: "double_quant", false).contains("unexpected"))
  }

  @Test func codesThatCannotBe() throws {
    func edited(_ ending: String, of index: Int = 2, _ change: (inout StoredTensor) -> Void) throws -> String {
      try refusal(index) { tensors in
        for i in tensors.indices where tensors[i].name == Self.weight + "." + ending { change(&tensors[i]) }
      }
    }
    func missing(_ ending: String, of index: Int = 2) throws -> String {
      try refusal(index) { $0.removeAll { $0.name == Self.weight + "." + ending } }
    }
    #expect(try edited("scales") { $0.floats[3] = .nan }.contains("its scales hold nan"))
    #expect(try edited("scales") { $0.floats[3] = .infinity }.contains("its scales hold inf"))
    #expect(try edited("scales") { $0.floats[3] = -1 }.contains("its scales hold -1"))
    #expect(try edited("zeros") { $0.floats[3] = 16 }.contains("a zero is 16, but codes of 4 bits end at 15"))
    #expect(try edited("zeros") { $0.shape = [$0.floats.count] }.contains("its zeros have the shape"))
    #expect(
      try edited("codes") {
        $0.dtype = .f32; $0.floats[0] = 1
      }.contains("its codes are F32, but U32 is due"))
    for ending in ["codes", "scales", "zeros"] {
      #expect(try missing(ending).contains("the codes of '\(Self.weight)' cannot be used: its \(ending) are missing"))
    }
    #expect(try edited("absmax", of: 4) { $0.floats[0] = .nan }.contains("its absmax hold nan"))
    #expect(try edited("nested_quant_map", of: 5) { $0.floats[0] = .infinity }.contains("its nested_quant_map hold inf"))
    #expect(
      try edited("nested_offset", of: 5) {
        $0.floats = [1, 2]; $0.shape = [2]
      }.contains("[2], but [1] is due"))
    #expect(try edited("nested_absmax", of: 5) { $0.floats[0] = .nan }.contains("its nested_absmax hold nan"))
    for ending in ["packed", "absmax", "nested_absmax", "nested_offset", "nested_quant_map"] {
      #expect(try missing(ending, of: 5).contains("its \(ending) are missing"))
    }
    let twice = try refusal {
      $0.append(.init(name: Self.weight, shape: [64, 176], floats: .init(repeating: 0, count: 64 * 176)))
    }
    #expect(twice.contains("holds '\(Self.weight)' twice, in numbers and in codes"))
    #expect(try refusal { $0.removeAll { $0.name.hasPrefix(Self.weight) } }.contains("the weights lack '\(Self.weight)'"))
    let strange = try refusal { $0.append(.init(name: "model.embed_tokens.weight.codes", shape: [1], floats: [0])) }
    #expect(strange.contains("unexpected 'model.embed_tokens.weight.codes'"))
  }

  @Test func numbersThatAreCalledCodes() throws {
    let model = try scratch.model("gpt2")
    var members = model.directory.config.members ?? []
    members.append(.init("quantization_config", ["quant_method": "gptq", "bits": 4]))
    try Folder.remove(model.directory.path + "/config.json")
    try WholeFile.write(JSON.object(members).text(), to: model.directory.path + "/config.json")
    #expect(
      message(scratch) { _ = try ModelLoader.load(model.directory.path) }.contains(
        "the weights hold no codes (config.json has a quantization_config)"))
  }

  @Test func freshWeightsAreNotCoded() throws {
    _ = try refusal()
    #expect(
      message(scratch) { _ = try ModelLoader.fresh(config: scratch["coded"], seed: 1) }.contains(
        "fresh weights are not quantized"))
  }
}
