import Files
import JSON
import Models

/// A measurement as it is kept: what was measured where, and its numbers by name.
public struct BenchRecord: Sendable, Equatable {
  public enum Kind: String, Sendable {
    case step
    case generation
  }

  public struct Fact: Sendable, Equatable {
    public var name: String
    public var value: String

    public init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  public struct Figure: Sendable, Equatable {
    public var name: String
    public var value: Double

    public init(_ name: String, _ value: Double) {
      self.name = name
      self.value = value
    }
  }

  public var kind: Kind
  public var program: String
  public var machine: [Fact]
  public var run: [Fact]
  public var speed: [Figure]
  /// Seconds of a step.
  public var phases: [Figure]
  /// Bytes.
  public var memory: [Figure]

  static let format = "peft-bench-1"

  /// A model by what it is made of.
  static func facts(of model: any Model) -> [Fact] {
    let numbers = model.parameters.reduce(0) { $0 + $1.shape.reduce(1, *) }
    let types = Set(model.parameters.map { $0.isQuantized ? "coded" : "\($0.type)" }).sorted()
    return [
      Fact("model", model.modelType), Fact("parameters", "\(numbers)"), Fact("stored as", types.joined(separator: ", ")),
    ]
  }
}

/// What a fact was, and what it is: nil where only the other record has it.
public struct BenchDifference: Sendable, Equatable {
  public var name: String
  public var now: String?
  public var was: String?
}

extension BenchRecord {
  /// In what machine, program and run differ from those of `other`: what makes the numbers incomparable, or is the point of
  /// comparing them.
  public func differences(from other: BenchRecord) -> [BenchDifference] {
    let (mine, others) = (
      machine + [Fact("program", program)] + run, other.machine + [Fact("program", other.program)] + other.run
    )
    func value(_ facts: [Fact], _ name: String) -> String? { facts.first { $0.name == name }?.value }
    let names = mine.map(\.name) + others.map(\.name).filter { value(mine, $0) == nil }
    return names.compactMap { name in
      let (now, was) = (value(mine, name), value(others, name))
      return now == was ? nil : BenchDifference(name: name, now: now, was: was)
    }
  }
}

// As JSON: an object with `format`, `kind`, `program`, the facts of `machine` and `run` as texts, and the figures of `speed`,
// `phases` and `memory` as numbers.
extension BenchRecord {
  public var json: JSON {
    func facts(_ facts: [Fact]) -> JSON { .object(facts.map { .init($0.name, .string($0.value)) }) }
    func figures(_ figures: [Figure]) -> JSON { .object(figures.map { .init($0.name, .double($0.value)) }) }
    return [
      "format": .string(Self.format), "kind": .string(kind.rawValue), "program": .string(program), "machine": facts(machine),
      "run": facts(run), "speed": figures(speed), "phases": figures(phases), "memory": figures(memory),
    ]
  }

  /// What a file holds that `json` was written to. Refuses every other file, and one of another kind.
  public static func read(_ path: String, _ kind: Kind) throws(FileError) -> BenchRecord {
    let json = try TextFile.readJSON(path)
    guard json["format"]?.string == format else {
      throw FileError(
        .badData, path, "is no saved measurement", cause: "its format is not \(format)", remedy: "make one with bench --save")
    }
    guard let record = BenchRecord(json) else { throw FileError(.badData, path, "is a measurement with parts missing") }
    guard record.kind == kind else {
      throw FileError(
        .badData, path, "is a measurement of \(record.kind.noun)",
        cause: "what is measured now is \(kind.noun)", remedy: "compare like with like")
    }
    return record
  }

  private init?(_ json: JSON) {
    func facts(_ key: String) -> [Fact]? {
      json[key]?.members.flatMap { members in
        let facts = members.compactMap { member in member.value.string.map { Fact(member.key, $0) } }
        return facts.count == members.count ? facts : nil
      }
    }
    func figures(_ key: String) -> [Figure]? {
      json[key]?.members.flatMap { members in
        let figures = members.compactMap { member in member.value.double.map { Figure(member.key, $0) } }
        return figures.count == members.count ? figures : nil
      }
    }
    guard let kind = json["kind"]?.string.flatMap(Kind.init), let program = json["program"]?.string,
      let machine = facts("machine"), let run = facts("run"), let speed = figures("speed"), let phases = figures("phases"),
      let memory = figures("memory")
    else { return nil }
    self.init(
      kind: kind, program: program, machine: machine, run: run, speed: speed, phases: phases, memory: memory)
  }
}

extension BenchRecord.Kind {
  var noun: String {
    switch self {
    case .step: "a training step"
    case .generation: "generation"
    }
  }
}
