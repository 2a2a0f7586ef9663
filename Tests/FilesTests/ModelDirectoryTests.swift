import Files
import Testing

@Suite struct ModelDirectoryTests {
  static func weights(_ names: [String], value: Float = 1) -> [SafetensorsWriter.Tensor] {
    names.map { .init(name: $0, shape: [2], floats: [value, Float($0.utf8.count)]) }
  }

  static func sharded(_ scratch: Scratch, _ map: String) throws {
    try scratch.put("config.json", "{}")
    try scratch.put("model.safetensors.index.json", "{\"metadata\": {}, \"weight_map\": \(map)}")
    try SafetensorsWriter.write(weights(["b"]), to: scratch["model-1.safetensors"])
    try SafetensorsWriter.write(weights(["a", "extra"]), to: scratch["model-2.safetensors"])
  }

  @Test func opensASingleFile() throws {
    let scratch = try Scratch()
    try scratch.put("config.json", #"{"hidden_size": 8}"#)
    try SafetensorsWriter.write(Self.weights(["b", "a"]), to: scratch["model.safetensors"])
    let model = try ModelDirectory(scratch.path)
    #expect(model.config["hidden_size"]?.int == 8)
    #expect(model.tensorNames == ["a", "b"])
    #expect(try model.floats(of: "b") == [1, 1])
    #expect(model.entry("a")?.shape == [2])
    #expect(message(scratch) { _ = try model.bytes(of: "c") } == "DIR: has no tensor 'c'")
  }

  @Test func opensShardsAndDigestsThemAsOne() throws {
    let shards = try Scratch()
    try Self.sharded(shards, #"{"b": "model-1.safetensors", "a": "model-2.safetensors"}"#)
    let sharded = try ModelDirectory(shards.path)
    #expect(sharded.tensorNames == ["a", "b"])
    #expect(try sharded.floats(of: "a") == [1, 1])
    #expect(sharded.shards.count == 2)

    let single = try Scratch()
    try single.put("config.json", #"{"other": 1}"#)
    try SafetensorsWriter.write(Self.weights(["b", "a"]), metadata: ["x": "y"], to: single["model.safetensors"])
    let digest = try ModelDirectory(single.path).digest()
    #expect(try sharded.digest() == digest)
    #expect(digest.count == 64)

    try SafetensorsWriter.write(Self.weights(["b", "a"], value: 2), to: single["model.safetensors"])
    #expect(try ModelDirectory(single.path).digest() != digest)
  }

  @Test func digestSamplesLargeTensors() throws {
    let scratch = try Scratch()
    try scratch.put("config.json", "{}")
    var values = [Float](repeating: 0, count: 10_000)
    func digest() throws -> String {
      try SafetensorsWriter.write([.init(name: "a", shape: [100, 100], floats: values)], to: scratch["model.safetensors"])
      return try ModelDirectory(scratch.path).digest()
    }
    let zero = try digest()
    for (place, seen) in [(0, true), (1023, true), (1024, false), (5000, true), (9_999, true), (3000, false)] {
      values[place] = 1
      #expect((try digest() != zero) == seen, "place \(place)")
      values[place] = 0
    }
  }

  @Test(arguments: [
    (#"{}"#, "model.safetensors.index.json: has no weight_map"),
    (#"[]"#, "model.safetensors.index.json: has no weight_map"),
    (#"{"a": 1}"#, "model.safetensors.index.json: weight_map names no file for 'a'"),
    (
      #"{"a": "../model-2.safetensors"}"#,
      "model.safetensors.index.json: names the shard '../model-2.safetensors', which is no file of this directory"
    ),
    (
      #"{"a": "/etc/passwd"}"#,
      "model.safetensors.index.json: names the shard '/etc/passwd', which is no file of this directory"
    ),
    (#"{"a": ".."}"#, "model.safetensors.index.json: names the shard '..', which is no file of this directory"),
    (#"{"a": "x\\y"}"#, "model.safetensors.index.json: names the shard 'x\\y', which is no file of this directory"),
    (#"{"a": ""}"#, "model.safetensors.index.json: names the shard '', which is no file of this directory"),
    (
      #"{"a": "model-2.safetensors", "b": "model-3.safetensors"}"#,
      "model-3.safetensors: is named in model.safetensors.index.json but does not exist (1 of 2 shards missing); "
        + "copy or download the model's missing files"
    ),
    (
      #"{"a": "model-1.safetensors"}"#,
      "model-1.safetensors: has no tensor 'a', which model.safetensors.index.json says it holds; "
        + "copy or download index and shards again, from one revision"
    ),
  ])
  func refusesIndices(_ map: String, _ expected: String) throws {
    let scratch = try Scratch()
    try Self.sharded(scratch, map)
    #expect(message(scratch) { _ = try ModelDirectory(scratch.path) } == expected)
  }

  @Test func saysWhatIsMissing() throws {
    let scratch = try Scratch()
    func opening(_ path: String? = nil) -> String? { message(scratch) { _ = try ModelDirectory(path ?? scratch.path) } }
    #expect(
      opening(scratch["no"])
        == "no: there is no such directory; give a local model directory; nothing is fetched over the network")
    #expect(opening() == "DIR: has no config.json; copy config.json beside the weights")
    try scratch.put("adapter_config.json", "{}")
    #expect(opening() == "DIR: has no config.json; this is an adapter; give the base model's directory")
    try scratch.put("config.json", "[]")
    #expect(opening(scratch["config.json"]) == "config.json: is a file; give the directory that holds it")
    #expect(opening() == "config.json: is no JSON object")
    try scratch.put("config.json", "{\n,}")
    #expect(opening() == "config.json:2:1: is not JSON (expected a key in quotes)")
    try scratch.put("config.json", "{}")
    let what = "DIR: has no model.safetensors and no model.safetensors.index.json"
    #expect(opening() == what + "; copy or download the model's weights")
    try scratch.put("model.gguf", "")
    #expect(opening() == what + " (there is model.gguf); convert to safetensors")
    try scratch.put("pytorch_model.bin", "")
    #expect(opening() == what + " (there is pytorch_model.bin); pickle files are refused: convert to safetensors")
    try scratch.put("weights.safetensors", "")
    #expect(opening() == what + " (there is weights.safetensors); a model's weights must have one of these names")
  }
}
