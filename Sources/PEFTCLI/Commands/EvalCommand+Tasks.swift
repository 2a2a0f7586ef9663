import AdapterFiles
import Files
import JSON
import PEFTKernel
import Training

// `eval` of an encoder: as its task has it.
extension EvalCommand {
  func evaluate(_ setup: TaskSetup, _ call: Invocation) throws -> ExitStatus {
    let bank = try model.bank(on: setup.objective.model, call)
    let (examples, notes) = try setup.examples(of: data)
    for note in notes { call.console.note("note: \(note)") }
    func result(_ adapter: Adapter?) -> Evaluation { evaluation(setup.objective, adapter, examples, call) }
    guard model.use == nil, bank.names.count > 1 else { return try report(result(bank.active), call) }
    // Several, and none is meant: each in its turn. A base with a new head has nothing to say.
    let hasBase = setup.objective.model.freshParameters.isEmpty
    var results = hasBase ? [(name: AdapterBank.base, result: result(nil))] : []
    for name in bank.names { results.append((name, result(try bank.adapter(name)))) }
    return try report(results, call)
  }

  private func report(_ result: Evaluation, _ call: Invocation) throws -> ExitStatus {
    if json {
      let metrics = result.classes.map { [JSON.Member("metrics", $0.json)] } ?? []
      call.console.print(JSON.object(result.members + metrics).text())
    } else {
      call.console.print("loss        \(Format.fixed(result.loss, 6))")
      if let classes = result.classes {
        for line in ClassificationReport(classes).lines(width: call.console.width) { call.console.print(line) }
      } else {
        for figure in result.figures { call.console.print("\(figure.name)  \(Format.significant(figure.value))") }
        call.console.print("\(result.unit)    \(Format.grouped(result.tokens))")
      }
    }
    guard result.loss.isFinite else { throw Failure(.failed, "the loss is \(Format.plain(result.loss))") }
    return .ok
  }

  private func report(_ results: [(name: String, result: Evaluation)], _ call: Invocation) throws -> ExitStatus {
    if json {
      let rows = results.map { JSON.object([.init("adapter", .string($0.name))] + $0.result.members) }
      call.console.print((["results": .array(rows)] as JSON).text())
    } else {
      let titles = ["adapter", "loss"] + (results.first?.result.figures.map(\.name) ?? [])
      let rows = results.map { name, result in
        [name, Format.fixed(result.loss, 6)] + result.figures.map { Format.significant($0.value) }
      }
      for line in Format.table([titles] + rows, right: Set(1..<titles.count)) { call.console.print(line) }
    }
    if let wrong = results.first(where: { !$0.result.loss.isFinite }) {
      throw Failure(.failed, "the loss of \(wrong.name) is \(Format.plain(wrong.result.loss))")
    }
    return .ok
  }
}
