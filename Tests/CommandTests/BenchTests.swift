import Files
import JSON
import PEFTCLI
import Testing

/// `bench`: a step, generation, what is kept and compared.
@Suite struct BenchTests {
  /// Σ out·in of the tiny Llama: queries, keys, values, output, gate, up and down of two layers, and the head.
  private static let weights: Double = {
    let attention: Int = 64 * 64 + 2 * 32 * 64 + 64 * 64
    let mlp: Int = 3 * 176 * 64
    return Double(2 * (attention + mlp) + 512 * 64)
  }()

  private func scratch(_ replacements: KeyValuePairs<String, String> = [:]) throws -> Scratch {
    let scratch = try Scratch()
    try scratch.put("run.yaml", runText(replacements))
    return scratch
  }

  @Test(arguments: [("lora", 4.0), ("full", 6.0)])
  func aStepIsMeasured(_ method: String, _ products: Double) async throws {
    let scratch = try scratch(["method: lora": "method: \(method)"])
    let before = try scratch.listing
    let outcome = await scratch.peft("bench", "@run.yaml", "--steps", "2", "--warm-up", "1")
    #expect(outcome.status == .ok, "\(outcome.notes)")
    #expect(outcome.printed.hasPrefix("\(method) on model: 2 steps of 48 tokens, behind 1\n"), "\(outcome.printed)")
    for word in ["tokens/s ", "seconds a step ", "GFLOP/s: ", "blocks asked of the system", "  attention ", "base, ", "resident"]
    {
      #expect(outcome.printed.contains(word), "\(outcome.printed)")
    }
    #expect(try scratch.listing == before)

    let json = try await scratch.peft("bench", "@run.yaml", "--steps", "1", "--warm-up", "0", "--json").json()
    let speed = try #require(json["speed"])
    #expect(json["format"] == "peft-bench-1" && json["kind"] == "step")
    #expect(speed["gflop_per_step"]?.double == products * Self.weights * 48 / 1e9)
    let seconds = try #require(speed["seconds_per_step"]?.double)
    #expect(speed["tokens_per_second"]?.double == 48 / seconds)
    let phases = try #require(json["phases"]?.members).map { ($0.key, $0.value.double ?? .nan) }
    #expect(phases.map(\.0) == ["data", "base", "adapter", "attention", "elementwise", "recompute", "loss", "optimizer"])
    #expect(
      phases.allSatisfy { $0.1 > 0 || ["adapter", "recompute"].contains($0.0) } && phases.reduce(0) { $0 + $1.1 } <= seconds)

    // The step that is measured is the one that `train` takes.
    #expect(await scratch.peft("train", "@run.yaml", "-q").status == .ok)
    let loss = try #require(try metrics(scratch["out"]).first?["loss"]?.double)
    #expect(json["run"]?["loss of the first step"]?.string == "\((loss * 1e4).rounded() / 1e4)")
  }

  @Test func whatIsKeptIsCompared() async throws {
    let scratch = try scratch()
    let arguments = ["bench", "@run.yaml", "--steps", "1"]
    let kept = await scratch.peft(arguments + ["--save", "@kept.json", "--json"])
    #expect(try kept.status == .ok && JSON(parsing: TextFile.read(scratch["kept.json"])) == kept.json())
    try scratch.put("run.yaml", runText(["method: lora": "method: { use: lora, rank: 4 }"]))
    let outcome = await scratch.peft(arguments + ["--compare", "@kept.json", "--save", "@kept.json"])
    #expect(outcome.status == .ok, "\(outcome.notes)")
    for word in [
      "compared with kept.json\n", "  differs: method.projection.rank 4, was 8\n", "now/was", "  attention ",
      "  tokens per step ",
      " 0.50\n",
    ] {
      #expect(outcome.printed.contains(word), "\(outcome.printed)")
    }
    #expect(!outcome.printed.contains("differs: threads"))
    let again = try await scratch.peft(arguments + ["--compare", "@kept.json", "--json"]).json()
    #expect(again["compared"]?["speed"]?["gflop_per_step"] == 1.0 && again["compared"]?["differs"]?.members?.isEmpty == true)
  }

  @Test func generationIsMeasured() async throws {
    let scratch = try scratch()
    let lengths = ["--prompt-tokens", "5", "--new-tokens", "7"]
    let outcome = await scratch.peft(["bench", "@model"] + lengths)
    #expect(outcome.status == .ok && outcome.printed.hasPrefix("model: 7 tokens behind 5, 3 times\n"), "\(outcome.notes)")
    let json = try await scratch.peft(["bench", "@model", "--steps", "2", "--json", "--save", "@kept.json"] + lengths).json()
    #expect(json["kind"] == "generation" && json["memory"]?["weights"]?.double == 4 * Self.weights)
    let perToken = try #require(json["speed"]?["seconds_per_token"]?.double)
    #expect(json["speed"]?["weight_gb_per_second"]?.double == 4 * Self.weights / perToken / 1e9)
    let adapted = try await scratch.peft(["bench", "@run.yaml", "--generate", "--steps", "1", "--json"] + lengths).json()
    #expect(adapted["run"]?["adapted sites"] == "4")
    try await scratch.expectRefusal(
      "bench", "@model", "--new-tokens", "100000", status: .badData,
      "model: a sequence of 100063 tokens exceeds the model's 512 positions; shorten it, or lower max_seq_len")
    try await scratch.expectRefusal(
      "bench", "@run.yaml", "--compare", "@kept.json", status: .badData,
      "kept.json: is a measurement of generation (what is measured now is a training step); compare like with like")
  }

  @Test func whatCannotBeReadOrWrittenIsToldBeforeAnythingRuns() async throws {
    let scratch = try scratch()
    func refused(_ option: String, _ path: String, _ status: PEFTCLI.ExitStatus, _ message: String) async throws {
      try await scratch.expectRefusal("bench", "@run.yaml", option, path, status: status, message)
    }
    try scratch.put("other.json", "{\"format\": \"peft-comparison-1\"}")
    try scratch.put("part.json", "{\"format\": \"peft-bench-1\", \"kind\": \"step\", \"machine\": {\"threads\": 2}}")
    try scratch.put("text.json", "fast")
    try await refused("--compare", "@none.json", .missingInput, "none.json: cannot be read (No such file or directory)")
    try await refused("--compare", "@text.json", .badData, "text.json:1:1: is not JSON (expected 'false')")
    try await refused(
      "--compare", "@other.json", .badData,
      "other.json: is no saved measurement (its format is not peft-bench-1); make one with bench --save")
    try await refused("--compare", "@part.json", .badData, "part.json: is a measurement with parts missing")
    try await refused(
      "--save", "@run.yaml", .cannotCreate, "run.yaml: is the run file and is not replaced; save to another file")
    try await refused(
      "--save", "@none/kept.json", .cannotCreate,
      "none/kept.json: cannot be created (No such file or directory); create the folder none first")
    try await scratch.expectRefusal(
      "bench", "@none.yaml", status: .missingInput, "none.yaml: cannot be read (No such file or directory)")
  }

  @Test func numbersThatMakeNoSenseAreUsageErrors() async throws {
    let scratch = try scratch()
    for (option, value) in [("--steps", "0"), ("--warm-up", "-1"), ("--prompt-tokens", "0"), ("--new-tokens", "1")] {
      let outcome = await scratch.peft("bench", "@run.yaml", "\(option)=\(value)")
      #expect(outcome.status == .usage && outcome.notes.contains("\(option) must"), "\(outcome.notes)")
    }
  }
}
