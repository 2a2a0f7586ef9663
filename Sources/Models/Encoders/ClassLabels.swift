import Files
import JSON

/// The classes that a head tells apart, as config.json names them.
public struct ClassLabels: Sendable, Hashable {
  public enum Problem: String, Sendable, Hashable, CaseIterable {
    /// Numbers, one a label.
    case regression
    /// One label of several.
    case singleLabel = "single_label_classification"
    /// Any of the labels, each by itself.
    case multiLabel = "multi_label_classification"
  }

  /// By id.
  public var names: [String]
  /// As `problem_type` says; where it says nothing, one label is a regression and several are a choice.
  public var problem: Problem

  public init(names: [String], problem: Problem? = nil) {
    self.names = names
    self.problem = problem ?? (names.count == 1 ? .regression : .singleLabel)
  }

  /// What a model's config.json says; without `id2label` two labels, or `num_labels`. `label2id` says the same again.
  public init(_ directory: ModelDirectory) throws(FileError) { try self.init(ConfigReader(directory)) }

  init(_ reader: ConfigReader) throws(FileError) {
    var problem: Problem?
    if reader.value(["problem_type"]) != nil {
      problem = Problem(
        rawValue: try reader.choice("problem_type", default: "", supported: Problem.allCases.map(\.rawValue)))
    }
    guard let (_, table) = reader.value(["id2label"]) else {
      let count = try reader.int("num_labels", default: 2, in: 1...1 << 20)
      self.init(names: (0..<count).map { "LABEL_\($0)" }, problem: problem)
      try check(reader)
      return
    }
    let wanted = "an object is wanted that gives every id from 0 on a name"
    guard let members = table.members, !members.isEmpty else { throw reader.unfit("id2label", table, wanted) }
    var names = [String?](repeating: nil, count: members.count)
    for member in members {
      guard let id = Int(member.key), names.indices.contains(id), names[id] == nil, let name = member.value.string else {
        throw reader.unfit("id2label.\(printable(member.key))", member.value, wanted)
      }
      names[id] = name
    }
    self.init(names: names.compactMap { $0 }, problem: problem)
    try check(reader)
    // Labels of one name have one id there: the last of them.
    let ids = Dictionary(self.names.enumerated().map { ($1, $0) }) { $1 }
    for member in reader.value(["label2id"])?.value.members ?? [] {
      guard let id = ids[member.key], let other = member.value.int, other != id else { continue }
      throw reader.unfit("label2id.\(printable(member.key))", member.value, "id2label gives that label the id \(id)")
    }
  }

  private func check(_ reader: ConfigReader) throws(FileError) {
    guard problem == .singleLabel, names.count < 2 else { return }
    throw reader.unfit(
      "problem_type", .string(problem.rawValue), "one label is nothing to choose from; regression is, or two labels")
  }

  /// What config.json says of them.
  var members: [JSON.Member] {
    [
      .init("id2label", .object(names.enumerated().map { .init("\($0)", .string($1)) })),
      .init("label2id", .object(names.enumerated().map { .init($1, .int($0)) })),
      .init("problem_type", .string(problem.rawValue)),
    ]
  }
}

/// Which head an encoder is given.
public enum HeadChoice: Sendable, Hashable {
  /// What its files have: a classifier with its labels, or none.
  case stored
  /// None, whatever the files have.
  case none
  /// A classifier of these labels: the files' where it is for the same ones in the same order, else a new one, its weights drawn from
  /// N(0, initializer_range²) by the seed and its biases 0. ``Model/freshParameters`` says what is new.
  case classes(ClassLabels, seed: UInt64)
}
