import ArgumentParser
import Engine
import Files
import Models
import PEFTKernel

struct ForwardCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "forward", abstract: "Tensors in, tensors out: logits and loss of given token ids, for tests and tools.",
    discussion: """
      Reads input_ids [batch, sequence] and, if it is there, attention_mask of the same shape. Writes logits [batch, sequence, \
      vocabulary], F32, every row, and loss [1]: the mean over the ids that are not masked, each predicted from those before it.
      """)

  @OptionGroup var model: ModelOptions

  @Option(help: ArgumentHelp("The ids.", valueName: "file.safetensors"))
  var inputs: String

  @Option(help: ArgumentHelp("The file to write.", valueName: "file.safetensors"))
  var out: String

  @OptionGroup var common: CommonOptions

  func run(_ call: Invocation) async throws -> ExitStatus {
    let input = try ForwardInput(inputs)
    try refuseInputs()
    let attached = try model.open(call)
    let model = attached.model
    try model.check(length: input.length)
    try model.check(ids: input.ids)
    let now = Moment()
    let rows = RowLayout(sequences: input.batch, length: input.length, visible: input.mask)
    let pass = Pass(now: now, rows: rows, sites: attached.adapter?.sites ?? [])
    let run = ModelRun(pass: pass, attachment: attached.adapter?.attached(now))
    let hidden = model.hidden(input.ids, run)
    let logits = model.logits(hidden, run)
    let labels = input.labels
    let count = labels.count { $0 != -100 }
    let loss = hidden.crossEntropy(labels: labels, scale: 1 / Double(max(1, count)), vocabulary: model.vocabularySize) {
      model.logits($0, run)
    }
    try SafetensorsWriter.write(
      [
        .init(name: "logits", shape: [input.batch, input.length, model.vocabularySize], floats: logits.floats),
        .init(name: "loss", shape: [1], floats: [count == 0 ? .nan : Float(loss.item)]),
      ], to: out)
    call.log.debug("loss \(loss.item) over \(count) ids")
    guard logits.isFinite else { throw Failure(.failed, "the logits are not finite; they were written to \(out)") }
    return .ok
  }

  /// What is read must not be written over: the ids, and files of the model and the adapter.
  private func refuseInputs() throws(FileError) {
    guard let target = Folder.real(out) else { return }
    let folders = ([model.model] + model.adapter.map { NamedFolder($0).folder }).compactMap(Folder.real)
    guard target == Folder.real(inputs) || folders.contains(Folder.split(target).folder) else { return }
    throw FileError(.cannotCreate, out, "is an input and is not replaced", remedy: "write to another file")
  }
}

/// The ids a file gives, row by row.
struct ForwardInput {
  let batch: Int
  let length: Int
  let ids: [Int32]
  /// 1 for ids that count, by row.
  let mask: [UInt8]

  init(_ path: String) throws(FileError) {
    let file = try SafetensorsFile(path)
    guard let entry = file.entry("input_ids"), entry.shape.count == 2, entry.shape.allSatisfy({ $0 > 0 }) else {
      throw FileError(
        .badData, path, "has no tensor input_ids of shape [batch, sequence]",
        cause: "it holds " + file.tensors.prefix(8).map { "\($0.name) \($0.shape)" }.joined(separator: ", "))
    }
    (batch, length) = (entry.shape[0], entry.shape[1])
    let values = try file.ints(of: "input_ids")
    guard values.allSatisfy({ Int32(exactly: $0) != nil }) else {
      throw FileError(.badData, path, "input_ids holds numbers that are no token ids")
    }
    ids = values.map { Int32(truncatingIfNeeded: $0) }
    guard let maskEntry = file.entry("attention_mask") else {
      mask = ids.map { _ in 1 }
      return
    }
    guard maskEntry.shape == entry.shape else {
      throw FileError(.badData, path, "attention_mask has shape \(maskEntry.shape), but input_ids has \(entry.shape)")
    }
    mask = try file.ints(of: "attention_mask").map { $0 == 0 ? 0 : 1 }
  }

  /// What each row predicts: the next id of its sequence, unless that is masked.
  var labels: [Int32] {
    ids.indices.map { row in
      let isLast = row % length == length - 1
      return isLast || mask[row + 1] == 0 ? -100 : ids[row + 1]
    }
  }
}
