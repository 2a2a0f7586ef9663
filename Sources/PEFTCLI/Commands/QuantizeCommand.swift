import AdapterFiles
import ArgumentParser
import Blocks
import Files
import JSON
import Models
import PEFTKernel
import Registry
import Training

struct QuantizeCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "quantize", abstract: "Write a model whose layers hold their weights in few bits: a base to train adapters on.",
    discussion: """
      Embeddings, norms, poolers and heads stay as they are. The new directory remembers the model it was made from, which starts such as \
      quantization-error look at. Adapters are trained on it as on any other; merging one gives a model in numbers again.
      """)

  @Argument(help: ArgumentHelp("The model, a Hugging Face directory.", valueName: "model"))
  var model: String

  @OptionGroup var options: QuantizerOptions

  @Option(
    help: ArgumentHelp(
      "Texts (JSONL, or one a line) or token ids (safetensors), for a model of images such, that the model reads first: what gptq, "
        + "--magr and --coordinate-descent look at, and what errors are measured on.", valueName: "file"))
  var data: String?

  @Option(help: "Examples of --data that are read, the first of the file.")
  var samples = 128

  @Option(help: "Tokens an example of --data is cut to; default: the model's limit.")
  var maxSeqLen: Int?

  @Option(
    name: .customLong("for"),
    help: ArgumentHelp(
      "A run file: codes leave to its method's adapter what that can take over [arXiv:2310.08659].", valueName: "run.yaml"))
  var runFile: String?

  @Option(help: "Rounds between codes and adapter, with --for; default: 5.")
  var rounds: Int?

  @Option(name: .shortAndLong, help: ArgumentHelp("The folder to write.", valueName: "folder"))
  var output: String

  @Flag(help: "Replace the folder if it holds a model and nothing else.")
  var overwrite = false

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    if samples < 1 { throw ValidationError("--samples must be at least 1") }
    if let maxSeqLen, maxSeqLen < 1 { throw ValidationError("--max-seq-len must be at least 1") }
    if rounds != nil, runFile == nil { throw ValidationError("--rounds goes with --for") }
    let wanting = [
      (options.scheme == .gptq, "--scheme gptq"), (options.magr, "--magr"),
      (options.coordinateDescent ?? 0 > 0, "--coordinate-descent"),
    ]
    if data == nil, let first = wanting.first(where: \.0) {
      throw ValidationError("\(first.1) needs --data: texts on which the model's activations are looked at")
    }
  }

  func run(_ call: Invocation) async throws -> ExitStatus {
    let quantizer = try options.quantizer()
    let base = try ModelLoader.open(model)
    try ModelQuantizer.check(base)
    let inputs = [data, runFile].compactMap { $0 }
    let existing = overwrite ? AtomicDirectory.Existing.replace : .refuse
    try ModelWriter.check(output, model: base, existing: existing, inputs: inputs)
    var job = try ModelQuantizer(base, quantizer)
    job.alternation = try alternation(base, call)
    if let data {
      let examples = try Calibration.examples(data, for: base, samples: samples, length: maxSeqLen)
      job.grams = try Calibration.grams(of: ModelQuantizer.sites(of: base), on: base, examples: examples) { seen in
        show("reading", seen, examples.count, call.console)
      }
    }
    let count = ModelQuantizer.sites(of: base).count
    var done = 0
    let result = try job.run { _ in
      done += 1
      show("quantizing", done, count, call.console)
    }
    if call.console.isTerminal { call.console.draw("") }
    let origin = QuantizationConfig.Origin(
      path: Folder.tidied(Folder.absolute(model)), digest: try base.directory.digest())
    try ModelWriter.write(
      base, codes: result.codes, options.config(origin: origin), existing: existing, inputs: inputs, to: output)
    for note in [ModelWriter.note(of: base)].compactMap(\.self) + result.notes { call.console.note("note: \(note)") }
    report(result, call.console)
    return .ok
  }

  private func alternation(_ base: any Model, _ call: Invocation) throws -> Alternation? {
    guard let runFile else { return nil }
    let registry = try call.registry()
    // Sites are those of the model at hand, whatever model the run will name.
    let file = try RunFile.load(runFile, registry: registry) { _, _ in base.adaptable }
    guard let method = file.method else { throw Refusal("\(runFile): the run goes on from an adapter, so its start is given") }
    let sites = try file.selectSites(from: base.adaptable).filter { $0.kind == .linear }
    let assembly = try registry.assemble(method)
    do throws(Refusal) {
      return try Alternation(assembly, over: sites, rounds: rounds ?? 5, seed: file.seed)
    } catch {
      throw file.fault(error, at: "method")
    }
  }

  private func show(_ what: String, _ step: Int, _ steps: Int, _ console: Console) {
    guard console.isTerminal else { return }
    console.draw(
      ProgressBar(label: what, step: step, steps: steps).text(width: console.width, isUnicode: ProgressBar.isUnicode))
  }

  private func report(_ result: ModelQuantizer.Result, _ console: Console) {
    let kinds = Kind.all(of: result.sites)
    if json {
      let sites = result.sites.map { site -> JSON in
        [
          "path": .string(site.site.id.path), "before": .int(site.before), "after": .int(site.after),
          "relative_error": .double(site.size > 0 ? site.error / site.size : 0),
        ]
      }
      let report: JSON = [
        "output": .string(output), "measured_on_data": .bool(data != nil), "before": .int(kinds.reduce(0) { $0 + $1.before }),
        "after": .int(kinds.reduce(0) { $0 + $1.after }), "sites": .array(sites),
      ]
      console.print(report.text(indented: true))
      return
    }
    let total = Kind(use: "all", sites: result.sites)
    let rows = (kinds + [total]).map { kind in
      [
        kind.use, String(kind.count), Format.bytes(kind.before), Format.bytes(kind.after), Format.fixed(kind.bits, 3),
        Format.significant(kind.error, 3),
      ]
    }
    let head = ["kind", "sites", "before", "after", "bits a weight", data == nil ? "‖E‖/‖W‖" : "‖E·Xᵀ‖/‖W·Xᵀ‖"]
    for line in Format.table([head] + rows, right: [1, 2, 3, 4, 5]) { console.print(line) }
    if runFile != nil { console.print("\nE is what codes and adapter leave together.") }
    console.print("\nmodel: \(output)")
  }
}

/// The sites of one use together.
private struct Kind {
  var use: String
  var count: Int
  var before: Int
  var after: Int
  /// Bits a weight.
  var bits: Double
  /// Relative, over all of them.
  var error: Double

  init(use: String, sites: [ModelQuantizer.SiteReport]) {
    self.use = use
    count = sites.count
    before = sites.reduce(0) { $0 + $1.before }
    after = sites.reduce(0) { $0 + $1.after }
    let numbers = sites.reduce(0) { $0 + $1.site.outputs * $1.site.inputs }
    bits = 8 * Double(after) / Double(max(1, numbers))
    let size = sites.reduce(0) { $0 + $1.size * $1.size }
    error = size > 0 ? (sites.reduce(0) { $0 + $1.error * $1.error } / size).squareRoot() : 0
  }

  /// In the order of a layer.
  static func all(of sites: [ModelQuantizer.SiteReport]) -> [Kind] {
    var uses: [String] = []
    for site in sites where !uses.contains(site.site.use) { uses.append(site.site.use) }
    return uses.map { use in Kind(use: use, sites: sites.filter { $0.site.use == use }) }
  }
}
