// A program that embeds the library: `embedding MODEL_DIR DATA.jsonl FOLDER` trains two adapters into FOLDER away from the
// main actor, loads both beside one base, streams text with each, and cancels. Every line it prints is a check.
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

guard CommandLine.arguments.count == 4 else {
  print("usage: embedding MODEL_DIR DATA.jsonl FOLDER")
  exit(64)
}
let (modelPath, dataPath, folder) = (CommandLine.arguments[1], CommandLine.arguments[2], CommandLine.arguments[3])
let registry = try Catalog.registry()
var failed = false

func check(_ holds: Bool, _ claim: String) {
  print(holds ? "ok     \(claim)" : "FAILED \(claim)")
  if !holds { failed = true }
}

// 1. Training: the run is an actor of its own, and its events come back as a stream.

/// Trains an adapter in `folder/name`; `stopAfter` cancels the run behind that many steps. The main actor stays free
/// meanwhile: it is what receives the events.
func train(_ name: String, _ method: String, steps: Int, stopAfter: Int = .max) async throws -> TrainingOutcome {
  let text = """
    base_model: "\(modelPath)"
    method: { use: \(method), rank: 2 }
    data: { train: "\(dataPath)", max_seq_len: 64 }
    optimizer: { name: adamw, lr: 1e-2 }
    steps: \(steps)
    batch_size: 2
    output_dir: "\(folder)/\(name)"
    """
  let file = try RunFile.parse(text, path: "\(folder)/\(name).yaml", registry: registry)
  let run = TrainingRun(try RunSession(file, registry: registry))
  let (events, sink) = AsyncStream<TrainingEvent>.makeStream()
  let training = Task.detached {
    defer { sink.finish() }
    return try await run.run { sink.yield($0) }
  }
  var seen = 0
  for await event in events {
    MainActor.assertIsolated()
    guard case .step(let report, _) = event else { continue }
    seen += 1
    print("       \(name) step \(report.step) of \(steps): loss \(report.loss)")
    if seen == stopAfter { training.cancel() }
  }
  let outcome = try await training.value
  check(seen == outcome.steps, "\(name): \(seen) steps seen from the main actor")
  return outcome
}

let runs = [try await train("first", "lora", steps: 4), try await train("second", "uni-lora", steps: 4)]
check(runs.allSatisfy { $0.end == .finished && $0.steps == 4 }, "both runs finished")

// 2. One base, two adapters.

let model = try ModelLoader.load(modelPath)
let tokenizer = try RunSession.tokenizer(of: model)
let adapters = try runs.compactMap(\.adapterPath).map { try AdapterReader.read($0, for: model, registry: registry).adapter }
let prompt = tokenizer.encode("How many apples are there?\n").map { Int32($0) }

func generator(_ adapter: Int?, tokens: Int) throws -> TokenGenerator {
  try TokenGenerator(model, prompt: prompt, maximumTokens: tokens, attachment: adapter.map { adapters[$0].attached() })
}

/// Logits of the prompt's last row, for comparison to the bit.
func logits(_ adapter: Int?) -> [Float] {
  let attachment = adapter.map { adapters[$0].attached() }
  let pass = Pass(now: Moment(), rows: RowLayout(lengths: [prompt.count]), sites: adapter.map { adapters[$0].sites } ?? [])
  let run = ModelRun(pass: pass, attachment: attachment)
  let hidden = model.hidden(prompt, run)
  return model.logits(hidden.slice(rows: hidden.rows - 1..<hidden.rows), run).floats
}

let (base, first, second) = (logits(nil), logits(0), logits(1))
check(base != first && base != second && first != second, "base and two adapters answer differently")
check(logits(nil) == base && logits(0) == first, "using one leaves the others as they were")

// 3. Tokens as they come.

for adapter in [0, 1] {
  var decoder = tokenizer.streamingDecoder()
  var (text, count) = ("", 0)
  for try await id in try generator(adapter, tokens: 16) {
    text += decoder.append(Int(id))
    count += 1
  }
  text += decoder.finish()
  check(count == 16, "\(count) tokens streamed with adapter \(adapter): \(text.debugDescription)")
}

// 4. Cancelling a stream that would go on for long.

let (ticks, ticker) = AsyncStream<Void>.makeStream()
let long = try generator(0, tokens: 400)
let reader = Task.detached {
  var count = 0
  do {
    for try await _ in long {
      count += 1
      ticker.yield()
    }
  } catch is CancellationError {
    return (count, true)
  }
  return (count, false)
}
var ticked = 0
for await _ in ticks {
  ticked += 1
  if ticked == 3 { break }
}
reader.cancel()
let (count, wasCancelled) = try await reader.value
check(wasCancelled && count < 400, "cancelled after \(count) tokens of 400")

// 5. Cancelling a run: it finishes its step, saves, and says that it stopped.

let stopped = try await train("third", "lora", steps: 10_000, stopAfter: 1)
check(stopped.end == .stopped && stopped.steps < 10_000, "cancelled after \(stopped.steps) steps of 10000, and resumable")

exit(failed ? 1 : 0)
