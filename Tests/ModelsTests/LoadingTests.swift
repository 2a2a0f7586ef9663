import Engine
import Files
import Models
import PEFTKernel
import Testing

/// The same weights in other files: whatever the variant, the logits are the reference's.
@Suite struct LoadingTests {
  private func expectReference(_ fixture: Fixture, in folder: String, within tolerance: Float = 2e-5) throws {
    let (model, reference) = (try ModelLoader.load(folder), try Reference(fixture))
    let run = reference.run()
    let logits = model.logits(model.hidden(reference.ids, run), run).floats
    #expect(largestDifference(logits, reference.logits) < tolerance)
    #expect(Set(model.parameters.map(\.name)) == Set(try fixture.weights.tensors.map(\.name)))
  }

  @Test(arguments: Fixture.all) func shards(_ fixture: Fixture) throws {
    let (scratch, file) = (try Scratch(), try fixture.weights)
    try scratch.put("config.json", fixture.config)
    var map: [String] = []
    for shard in 0..<3 {
      let name = "model-0000\(shard + 1)-of-00003.safetensors"
      let mine = file.tensors.indices.filter { $0 % 3 == shard }.map { file.tensors[$0] }
      try SafetensorsWriter.write(mine.map { .init(copying: $0, of: file) }, to: scratch[name])
      map += mine.map { "\"\($0.name)\": \"\(name)\"" }
    }
    try scratch.put("model.safetensors.index.json", "{\"weight_map\": {\(map.joined(separator: ", "))}}")
    try expectReference(fixture, in: scratch.path)
  }

  @Test(arguments: Fixture.all, [StoredType.bf16, .f16]) func halfPrecision(_ fixture: Fixture, _ type: StoredType) throws {
    let (scratch, file) = (try Scratch(), try fixture.weights)
    let halves = try file.tensors.map {
      SafetensorsWriter.Tensor(name: $0.name, shape: $0.shape, floats: try file.floats(of: $0.name), as: type)
    }
    try scratch.model(config: fixture.config, halves)
    let model = try ModelLoader.load(scratch.path)
    #expect(model.parameters.allSatisfy { $0.type == type })
    // The same numbers, widened by the writer's side: no tolerance for the model's own widening.
    let wide = try Scratch()
    let rounded = try SafetensorsFile(scratch["model.safetensors"])
    try wide.model(
      config: fixture.config,
      rounded.tensors.map { .init(name: $0.name, shape: $0.shape, floats: try rounded.floats(of: $0.name)) })
    let ids: [Int32] = [1, 4, 9, 16, 25]
    let expected = logits(try ModelLoader.load(wide.path), ids, lengths: [5])
    #expect(largestDifference(logits(model, ids, lengths: [5]), expected) < 2e-6)
  }

  @Test(arguments: Fixture.all) func misalignedWeightsWithoutPrefixBesideStrayBuffers(_ fixture: Fixture) throws {
    let (scratch, file) = (try Scratch(), try fixture.weights)
    var all = tensors(file) { $0.hasPrefix(fixture.prefix) ? String($0.dropFirst(fixture.prefix.count)) : $0 }
    let strays =
      fixture.family == "gpt2" ? ["h.0.attn.bias", "h.1.attn.masked_bias"] : ["layers.0.self_attn.rotary_emb.inv_freq"]
    all += strays.map { .init(name: $0, shape: [1, 6], floats: Array(repeating: 9, count: 6)) }
    try scratch.model(config: fixture.config, all)
    try expectReference(fixture, in: scratch.path)
    // A header that is one byte longer leaves every number at an odd address.
    var bytes = try MappedFile(scratch["model.safetensors"]).withBytes { Array($0) }
    let length = (0..<8).reduce(0) { $0 | Int(bytes[$1]) << (8 * $1) }
    bytes.insert(UInt8(ascii: " "), at: 8 + length)
    for i in 0..<8 { bytes[i] = UInt8(truncatingIfNeeded: (length + 1) >> (8 * i)) }
    try Folder.remove(scratch["model.safetensors"])
    try WholeFile.write(bytes, to: scratch["model.safetensors"])
    try expectReference(fixture, in: scratch.path)
  }

  @Test func aStoredTiedHeadIsTheEmbedding() throws {
    let (scratch, file) = (try Scratch(), try Fixture.gpt2.weights)
    let noise = SafetensorsWriter.Tensor(name: "lm_head.weight", shape: [97, 48], floats: Array(repeating: 1, count: 97 * 48))
    try scratch.model(config: Fixture.gpt2.config, tensors(file) + [noise])
    try expectReference(.gpt2, in: scratch.path)
  }

  @Test func olderSpellings() throws {
    let scratch = try Scratch()
    let parameters = """
      "rope_parameters": {
          "rope_theta": 10000.0,
          "rope_type": "default"
        }
      """
    let config = try Fixture.llama.config
    #expect(config.contains(parameters))
    for older in [
      "\"rope_theta\": 10000, \"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"default\"}",
      "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 1}, \"torch_dtype\": \"float32\"",
    ] {
      try scratch.model(
        config: config.replacing(parameters, with: older).replacing("\"head_dim\": 12,", with: ""), tensors(Fixture.llama.weights)
      )
      try expectReference(.llama, in: scratch.path)
    }
  }

  @Test(arguments: Fixture.all) func freshWeightsFollowTheSeed(_ fixture: Fixture) throws {
    let scratch = try Scratch()
    try scratch.put("config.json", fixture.config)
    let model = try ModelLoader.fresh(config: scratch.path, seed: 3)
    let same = try ModelLoader.fresh(config: scratch["config.json"], seed: 3)
    let other = try ModelLoader.fresh(config: scratch.path, seed: 4)
    #expect(same.directory.path == scratch.path)
    for parameter in model.parameters {
      let values = model.parameter(parameter.name)
      #expect(values.shape == parameter.shape && values.floats == same.parameter(parameter.name).floats)
      if parameter.shape.count == 1 {
        // Gemma's factors are stored less 1.
        let expected: Float = parameter.name.hasSuffix(".bias") || fixture.family == "gemma2" ? 0 : 1
        #expect(values.floats.allSatisfy { $0 == expected }, "\(parameter.name)")
      } else {
        #expect(values.floats != other.parameter(parameter.name).floats)
        let deviation = (values.sumOfSquares / Double(values.count)).squareRoot()
        #expect(abs(deviation - 0.02) < 0.0015, "\(parameter.name)")
      }
    }
    #expect(Set(model.parameters.map(\.name)) == Set(try fixture.weights.tensors.map(\.name)))
    // Nearly even over 97 tokens before any training.
    let reference = try Reference(fixture)
    let loss = model.loss(reference.ids, labels: reference.labels, scale: 1 / Double(reference.labelled), reference.run())
    #expect(abs(loss.item - 4.575) < 0.1)
  }
}
