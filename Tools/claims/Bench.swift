import Files
import JSON
import PEFTCLI
import PEFTKernel
import Registry
import Training

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// What all parts share: the scale, the methods, the folder, and the run that trials are made from.
struct Bench: Sendable {
  let scale: Scale
  let folder: String
  let registry: MethodRegistry

  static let model = "models/scripture"
  static let data = "examples/data/gsm8k"

  init(_ scale: Scale, folder: String, registry: MethodRegistry) throws {
    self.scale = scale
    self.folder = folder
    self.registry = registry
    try Folder.create(folder)
    guard Folder.isFolder(Self.model) else { throw Fault("\(Self.model) is not here: run this in the repository's root") }
    func cut(_ path: String, _ rows: Range<Int>, to name: String) throws {
      let lines = try TextFile.read(path).split(separator: "\n").dropFirst(rows.lowerBound).prefix(rows.count)
      try WholeFile.write(lines.joined(separator: "\n") + "\n", to: Folder.join(folder, name))
    }
    let eval = Self.data + "/eval.jsonl"
    try cut(eval, 0..<scale.validation, to: "validation.jsonl")
    try cut(eval, scale.validation..<scale.validation + scale.heldOut, to: "held_out.jsonl")
    try cut(Self.model + "/own_text.jsonl", 0..<scale.ownText, to: "own_text.jsonl")
    try WholeFile.write(runFile, to: Folder.join(folder, "run.yaml"))
  }

  /// What all trials have in common.
  var runFile: String {
    """
    base_model: \(Folder.absolute(Self.model))
    method: { use: lora, rank: 8, alpha: 16 }
    target_modules: all-linear
    data:
      train: \(Folder.absolute(Self.data))/train.jsonl
      valid: validation.jsonl
      loss_on: completion
      max_seq_len: 512
      packing: true
    optimizer: { name: adamw, lr: 3e-3, schedule: cosine, warmup: 0.05 }
    steps: \(scale.steps)
    batch_size: 1
    seed: 1
    output_dir: run

    """
  }

  /// Every line of the reduced form says what it is.
  func say(_ text: String) {
    guard scale.isReduced else { return Self.write(text) }
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) { Self.write("reduced | \(line)") }
  }

  /// At once, so that lines are seen when they are written, also in a file.
  static func write(_ text: String, to descriptor: Int32 = 1) {
    var bytes = Array((text + "\n").utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { systemWrite(descriptor, $0.baseAddress, $0.count) }
      guard count > 0 else { return }
      bytes = bytes.dropFirst(count)
    }
  }

  /// The part's result: the one that is kept, or a new one.
  func result(of part: Part, revision: String) async throws -> PartResult {
    let path = Folder.join(folder, part.name + ".json")
    if Folder.isFile(path) {
      let json = try TextFile.readJSON(path)
      guard let kept = PartResult(json), kept.scale == scale.name, kept.program == program else {
        throw Fault("\(path) is of another form or version: choose another folder")
      }
      say("\(part.name): done before, on \(kept.date)")
      return kept
    }
    say("\(part.name) …")
    let began = ContinuousClock.now
    let outcome = try await part.run(self)
    let result = PartResult(
      name: part.name, scale: scale.name, revision: revision, program: program, machine: Machine.text, date: Self.today,
      seconds: (ContinuousClock.now - began) / .seconds(1), outcome: outcome)
    try WholeFile.write(result.json.text() + "\n", to: path)
    say("\(part.name): \(outcome.findings.map(\.verdict.rawValue).joined(separator: ", ")); \(Int(result.seconds)) s")
    return result
  }

  var program: String { "peft \(Version.text)" }

  /// The method of that entry with other options.
  func method(_ name: String, _ options: [String: OptionValue] = [:]) throws -> Assembly {
    try registry.assemble(registry.entry(name, overriding: options))
  }

  /// 2025-01-31, in Greenwich.
  private static var today: String {
    var (now, parts) = (time(nil), tm())
    gmtime_r(&now, &parts)
    func two(_ number: Int32) -> String { (number < 10 ? "0" : "") + "\(number)" }
    return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
  }
}

/// Under a name of its own, since `Bench.write` hides it.
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int { write(descriptor, bytes, count) }
