import Engine
import PEFTKernel
import Registry
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Axes that do nothing, with the kinds of options that methods have.
enum Fakes {
  struct Rule: UpdateRule {
    func begin(_ parameters: [Parameter]) throws(Refusal) -> any UpdateState { throw Refusal("only a name") }
  }

  static let pair = AxisDefinition<any Projection>(
    "pair", "two factors",
    options: [
      OptionSpec("rank", .integer(1...1024), default: .int(8), "inner size", aliases: [.init("r")]),
      OptionSpec("alpha", .number(0...1e6, aboveLower: true), default: .double(8), "numerator", aliases: [.init("lora_alpha")]),
      OptionSpec(
        "scaling", .choice(["standard", "root"]), default: .string("standard"), "denominator",
        aliases: [.init("use_rslora", [.bool(true): .string("root"), .bool(false): .string("standard")])]),
      OptionSpec("bias", .boolean, default: .bool(false), "whether it has one"),
      OptionSpec("gamma", .number(0...100), default: .double(1), "in both axes"),
    ]
  ) { (options) throws(Refusal) in
    if options.bool("bias"), options.int("rank") == 1 { throw Refusal("a bias needs a rank above 1") }
    return NoProjection()
  }

  static let start = AxisDefinition<any InitStrategy>(
    "spread", "a start with options",
    options: [
      OptionSpec("batches", .integer(1...Int.max), default: .int(64), "how many"),
      OptionSpec("gamma", .number(0...100), default: .double(16), "in both axes"),
    ], aliases: [.bool(false)]
  ) { (_) throws(Refusal) in FillStart() }

  static let adam = AxisDefinition<any UpdateRule>(
    "adamw", "an optimizer",
    options: [
      OptionSpec("betas", .numbers, default: .list([.double(0.9), .double(0.999)]), "decays"),
      OptionSpec("weight_decay", .number(0...1), default: .double(0), "decay"),
    ]
  ) { (_) throws(Refusal) in Rule() }

  static let sgd = AxisDefinition<any UpdateRule>("sgd", "another") { (_) throws(Refusal) in Rule() }

  static let plugin = Plugin("fakes", projections: [pair], inits: [start], optimizers: [adam, sgd])

  static let entry = """
    name: pair
    paper: "arXiv:0000.00000"
    projection: { use: pair, rank: 4 }
    init: spread
    trainable: [factor-a, factor-b]
    targets: [attention.query, attention.qkv]
    optimizer: { name: adamw, lr: 2e-4, weight_decay: 0.01 }
    """

  static let full = """
    name: full
    projection: none
    trainable: [base]
    optimizer: { name: adamw, lr: 1e-5 }
    """

  static func registry() throws -> MethodRegistry {
    try MethodRegistry(
      plugins: [plugin], entries: [EntrySource(file: "pair.yaml", text: entry), EntrySource(file: "full.yaml", text: full)])
  }

  /// Two layers as the Llama family names them, and the head.
  static let sites: [Site] =
    (0..<2).flatMap { (layer: Int) -> [Site] in
      [
        ("self_attn.q_proj", "attention.query"), ("self_attn.k_proj", "attention.key"), ("self_attn.v_proj", "attention.value"),
        ("self_attn.o_proj", "attention.output"), ("mlp.gate_proj", "mlp.gate"), ("mlp.up_proj", "mlp.up"),
        ("mlp.down_proj", "mlp.down"),
      ].map { Site(id: SiteID("model.layers.\(layer).\($0.0)"), use: $0.1, outputs: 4, inputs: 4, layer: layer) }
    } + [Site(id: SiteID("lm_head"), use: "head", outputs: 8, inputs: 4)]
}

/// A folder with a run file, a model directory and data, removed with the object.
final class Scratch {
  let path: String

  init() throws {
    var template = Array("/tmp/registry-tests-XXXXXX".utf8CString)
    path = String(cString: try #require(mkdtemp(&template)))
    try #require(mkdir("\(path)/model", 0o777) == 0)
    for name in ["tokens.bin", "train.jsonl", "valid.jsonl"] { try put(name, "") }
  }

  deinit {
    // Two levels are all a test makes.
    for folder in ["model", "methods", "parts", "none", "."] {
      guard let stream = opendir("\(path)/\(folder)") else { continue }
      while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
          $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        unlink("\(path)/\(folder)/" + name)
      }
      closedir(stream)
      rmdir("\(path)/\(folder)")
    }
    rmdir(path)
  }

  @discardableResult
  func put(_ name: String, _ text: String) throws -> String {
    let file = try #require(fopen("\(path)/\(name)", "w"))
    defer { fclose(file) }
    fputs(text, file)
    return "\(path)/\(name)"
  }

  func folder(_ name: String) throws -> String {
    try #require(mkdir("\(path)/\(name)", 0o777) == 0)
    return "\(path)/\(name)"
  }

  func run(_ text: String, sites: RunFile.SiteSource? = nil) throws -> RunFile {
    try RunFile.load(put("run.yaml", text), registry: Fakes.registry(), sites: sites)
  }

  /// The errors of a run file, line by line, with the folder's path taken out.
  func errors(_ text: String, sites: RunFile.SiteSource? = nil) throws -> [String] {
    let error = #expect(throws: ConfigurationErrors.self) { try run(text, sites: sites) }
    return (error?.issues ?? []).map { $0.description.replacing(path + "/", with: "") }
  }
}
