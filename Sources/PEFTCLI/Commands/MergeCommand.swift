import AdapterFiles
import ArgumentParser
import Files
import JSON
import Models
import Tokenization
import Training

struct MergeCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "merge", abstract: "Add an adapter to its base: a model directory that needs no adapter.")

  @Option(name: .shortAndLong, help: ArgumentHelp("The base model.", valueName: "folder"))
  var model: String

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("The adapter; without one, the model is written as it is, in another --dtype.", valueName: "folder"))
  var adapter: String?

  @Option(name: .shortAndLong, help: ArgumentHelp("The folder to write.", valueName: "folder"))
  var out: String

  @Option(help: "Number type of the weights: f32, bf16 or f16; default: each tensor's own.", transform: WeightFormat.parse)
  var dtype: WeightFormat?

  @Option(
    help: ArgumentHelp(
      "The largest weight file, e.g. 5GB or 500MB; a larger model is divided, with an index.", valueName: "size"),
    transform: ByteSize.parse)
  var maxShardSize = ByteSize(bytes: ModelWriter.standardShardLimit)

  @Option(help: ArgumentHelp("Text to compare the logits on; default: random token ids.", valueName: "text"))
  var text: String?

  @Flag(inversion: .prefixedNo, help: "Compare the merged model's logits with those of base and adapter.")
  var check = true

  @Flag(help: "Replace the folder if it holds a model and nothing else.")
  var overwrite = false

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    if adapter == nil && dtype == nil { throw ValidationError("Give --adapter, --dtype or both: what is to change?") }
  }

  func run(_ call: Invocation) async throws -> ExitStatus {
    let base = try AdapterReader.base(model, for: adapter)
    let samples = try samples(base)
    guard let adapter else {
      if let note = ModelWriter.note(of: base) { call.console.note("note: \(note)") }
      try ModelWriter.write(
        base, dtype: dtype?.type, existing: overwrite ? .replace : .refuse, shardLimit: maxShardSize.bytes, to: out)
      call.console.print(json ? (["out": .string(out), "sites": []] as JSON).text(indented: true) : "model: \(out)")
      return .ok
    }
    let stored = try AdapterReader.read(adapter, for: base, registry: call.registry())
    let report = try Merging.merge(
      stored.adapter, into: base, dtype: dtype?.type, existing: overwrite ? .replace : .refuse, inputs: [adapter], from: adapter,
      shardLimit: maxShardSize.bytes, to: out)
    for note in stored.notes + report.notes { call.console.note("note: \(note)") }
    let agreement = try check ? Agreement(base, stored.adapter, with: ModelLoader.open(out), on: samples) : nil
    let ids = text != nil ? "ids of the text" : base is any LanguageModel ? "random ids" : "rows of random inputs"
    if json {
      let sites = report.sites.map { site -> JSON in
        [
          "path": .string(site.path), "largest_change": .double(site.largestChange),
          "relative_change": .double(site.relativeChange),
        ]
      }
      let compared = agreement.map { agreement -> JSON in
        [
          "largest_difference": .double(agreement.largestDifference), "largest_logit": .double(agreement.largestLogit),
          "same_choices": .int(agreement.sameChoices), "positions": .int(agreement.positions), "on": .string(ids),
        ]
      }
      let report: JSON = ["out": .string(out), "logits": compared ?? .null, "sites": .array(sites)]
      call.console.print(report.text(indented: true))
    } else {
      let rows = report.sites.map {
        [$0.path, Format.significant($0.largestChange, 3), Format.significant($0.relativeChange, 3)]
      }
      for line in Format.table([["site", "largest |ΔW|", "‖ΔW‖/‖W‖"]] + rows, right: [1, 2]) { call.console.print(line) }
      if let agreement {
        call.console.print(
          "\nlargest difference of \(Self.output(of: base)): \(Format.significant(agreement.largestDifference, 3)) on "
            + "\(agreement.positions) \(ids) (largest \(Format.significant(agreement.largestLogit, 3))"
            + (base is any LanguageModel ? ", same likeliest token at \(agreement.sameChoices))" : ")"))
      }
      call.console.print("\nmodel: \(out)")
    }
    if let agreement, !agreement.largestDifference.isFinite {
      throw Failure(.failed, "the logits are not finite; the model was written to \(out)")
    }
    return .ok
  }

  private static func output(of model: any Model) -> String {
    model is any LanguageModel || model.classes != nil ? "a logit" : "what the encoder gives"
  }

  /// What the outputs are compared on.
  private func samples(_ model: any Model) throws -> [Agreement.Sample] {
    guard let text else { return Agreement.randomSamples(for: model) }
    guard let model = model as? any TextModel else {
      throw Failure(.usage, "--text: a \(model.modelType) model reads no text; leave it out")
    }
    let ids = try RunSession.tokenizer(of: model).encode(text).prefix(model.maximumPositions).map { Int32($0) }
    guard !ids.isEmpty else { throw Failure(.usage, "--text: has no tokens") }
    return [.ids(ids)]
  }
}

/// Number types a model can be written in.
enum WeightFormat: String, ExpressibleByArgument, CaseIterable {
  case f32
  case bf16
  case f16

  static func parse(_ text: String) throws -> WeightFormat {
    if let format = WeightFormat(rawValue: text) { return format }
    // Rounding the sum would lose what the adapter learned: whoever wants that asks for it by itself.
    let coded = ["int2", "int3", "int4", "int8", "nf4", "rtn", "gptq", "2", "3", "4", "8"].contains(text.lowercased())
    throw ValidationError(
      "\(text) is no number type: use f32, bf16 or f16"
        + (coded ? "; a merged model is not coded anew, `\(Invocation.programName) quantize` does that by itself" : ""))
  }

  var type: StoredType {
    switch self {
    case .f32: .f32
    case .bf16: .bf16
    case .f16: .f16
    }
  }
}
