import AdapterFiles
import Catalog
import Engine
import Models
import PEFTKernel
import Registry
import Tokenization
import Training

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A program that embeds the library: `embedding MODEL_DIR DATA.jsonl FOLDER` trains two adapters into FOLDER away from
/// the main actor, uses both on one base, streams text with each, and cancels what runs. It checks what it shows.
@main @MainActor struct Embedding {
  let modelPath: String
  let dataPath: String
  let folder: String
  let registry: MethodRegistry
  var failed = false

  static func main() async {
    let arguments = CommandLine.arguments
    guard arguments.count == 4 else {
      print("usage: embedding MODEL_DIR DATA.jsonl FOLDER")
      exit(64)
    }
    do {
      let registry = try Catalog.registry()
      var program = Embedding(modelPath: arguments[1], dataPath: arguments[2], folder: arguments[3], registry: registry)
      try await program.run()
      exit(program.failed ? 1 : 0)
    } catch {
      print("error: \(error)")
      exit(1)
    }
  }

  mutating func run() async throws {
    let runs = [try await train("first", "lora", steps: 4), try await train("second", "uni-lora", steps: 4)]
    check(runs.allSatisfy { $0.end == .finished && $0.steps == 4 }, "both runs finished")

    let model = try ModelLoader.load(modelPath)
    let adapters = try runs.compactMap(\.adapterPath).map { path in
      try AdapterReader.read(path, for: model, registry: registry).adapter
    }
    let tokenizer = try RunSession.tokenizer(of: model)
    let prompt = tokenizer.encode("How many apples are there?\n").map { Int32($0) }

    func logits(_ adapter: Adapter?) -> [Float] {
      let pass = Pass(now: Moment(), rows: RowLayout(lengths: [prompt.count]), sites: adapter?.sites ?? [])
      let run = ModelRun(pass: pass, attachment: adapter?.attached())
      return model.logits(model.hidden(prompt, run), run).floats
    }
    let (base, first, second) = (logits(nil), logits(adapters[0]), logits(adapters[1]))
    check(base != first && base != second && first != second, "the base and its two adapters answer differently")
    check(logits(nil) == base && logits(adapters[0]) == first, "using one leaves the others as they were, to the bit")

    for (name, adapter) in zip(["first", "second"], adapters) {
      var decoder = tokenizer.streamingDecoder()
      var (text, count) = ("", 0)
      for try await id in try TokenGenerator(model, prompt: prompt, maximumTokens: 16, attachment: adapter.attached()) {
        text += decoder.append(Int(id))
        count += 1
      }
      text += decoder.finish()
      check(count == 16, "\(count) tokens streamed with the \(name): \(text.debugDescription)")
    }

    let long = try TokenGenerator(model, prompt: prompt, maximumTokens: 400, attachment: adapters[0].attached())
    let (count, wasCancelled) = try await cancelled(long, after: 3)
    check(wasCancelled && count < 400, "a stream was cancelled after \(count) tokens of 400")

    let stopped = try await train("third", "lora", steps: 10_000, stopAfter: 1)
    check(stopped.end == .stopped && stopped.steps < 10_000, "a run was cancelled after \(stopped.steps) steps of 10000")
  }

  /// Trains an adapter in `folder/name`; `stopAfter` cancels the run behind that many steps. The main actor stays free
  /// meanwhile: it is what receives the events.
  mutating func train(_ name: String, _ method: String, steps: Int, stopAfter: Int = .max) async throws -> TrainingOutcome {
    let text = """
      base_model: "\(modelPath)"
      method: { use: \(method), rank: 2 }
      data: { train: "\(dataPath)", max_seq_len: 64 }
      optimizer: { name: adamw, lr: 1e-2 }
      steps: \(steps)
      batch_size: 2
      output_dir: "\(folder)/\(name)"
      """
    let session = try RunSession(try RunFile.parse(text, path: "\(name).yaml", registry: registry), registry: registry)
    let run = TrainingRun(session, overwrites: true)
    let (events, sink) = AsyncStream<TrainingEvent>.makeStream()
    let training = Task.detached {
      defer { sink.finish() }
      return try await run.run { sink.yield($0) }
    }
    var seen = 0
    for await event in events {
      guard case .step(let report, _) = event else { continue }
      seen += 1
      print("       \(name): step \(report.step) of \(steps), loss \(report.loss)")
      if seen == stopAfter { training.cancel() }
    }
    let outcome = try await training.value
    check(seen == outcome.steps, "\(seen) steps of the \(name) seen from the main actor")
    return outcome
  }

  /// Reads a stream in a task of its own and cancels that behind some tokens: how many came, and whether it noticed.
  func cancelled(_ stream: TokenGenerator, after limit: Int) async throws -> (count: Int, wasCancelled: Bool) {
    let (ticks, ticker) = AsyncStream<Void>.makeStream()
    let reader = Task.detached {
      var count = 0
      do {
        for try await _ in stream {
          count += 1
          ticker.yield()
        }
      } catch is CancellationError {
        return (count, true)
      }
      return (count, false)
    }
    var seen = 0
    for await _ in ticks {
      seen += 1
      if seen == limit { break }
    }
    reader.cancel()
    return try await reader.value
  }

  mutating func check(_ holds: Bool, _ claim: String) {
    print(holds ? "ok     \(claim)" : "FAILED \(claim)")
    if !holds { failed = true }
  }
}
