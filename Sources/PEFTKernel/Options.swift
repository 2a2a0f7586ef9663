/// A value of a method's option, free of any file format.
public enum OptionValue: Sendable, Hashable {
  case null
  case bool(Bool)
  case int(Int)
  case double(Double)
  case string(String)
  case list([OptionValue])
  case map([String: OptionValue])

  /// As a user would write it.
  public var text: String {
    switch self {
    case .null: "null"
    case .bool(let value): value ? "true" : "false"
    case .int(let value): String(value)
    case .double(let value): "\(value)"
    case .string(let value): value
    case .list(let values): "[" + values.map(\.text).joined(separator: ", ") + "]"
    case .map(let values):
      "{" + values.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value.text)" }.joined(separator: ", ") + "}"
    }
  }

  public var number: Double? {
    switch self {
    case .int(let value): Double(value)
    case .double(let value): value
    default: nil
    }
  }
}

/// One option of an axis: its name, type, range, default, and what others call it.
///
/// Everything that must know an option reads it here: the YAML reader and its errors, the printed schema, the import of
/// PEFT configurations and of reference files.
public struct OptionSpec: Sendable, Hashable {
  public enum Kind: Sendable, Hashable {
    case integer(ClosedRange<Int>)
    /// A finite number in the range, its lower bound excluded where `aboveLower`, its upper where `belowUpper`.
    case number(ClosedRange<Double>, aboveLower: Bool = false, belowUpper: Bool = false)
    case boolean
    case text
    case choice([String])
    case numbers
    /// Numbers, or words: a run puts the mean of their tokens' embeddings in their place.
    case embedding
    /// Site pattern → number.
    case table
  }

  /// Another name for the option, with the values that are called otherwise.
  public struct Alias: Sendable, Hashable {
    public var name: String
    /// Their value → ours, where they differ.
    public var values: [OptionValue: OptionValue]

    public init(_ name: String, _ values: [OptionValue: OptionValue] = [:]) {
      self.name = name
      self.values = values
    }
  }

  public var name: String
  public var kind: Kind
  /// Nil where the option must be given, or where `null` is a value of its own.
  public var standard: OptionValue
  public var summary: String
  public var aliases: [Alias]

  public init(_ name: String, _ kind: Kind, default standard: OptionValue, _ summary: String, aliases: [Alias] = []) {
    self.name = name
    self.kind = kind
    self.standard = standard
    self.summary = summary
    self.aliases = aliases
  }
}

/// Checked options: every spec'd name has a value of its kind.
public struct Options: Sendable, Hashable {
  public var values: [String: OptionValue]

  public init(_ values: [String: OptionValue]) { self.values = values }

  /// The defaults, replaced by what is given. Refuses unknown names and values out of range.
  public init(_ given: [String: OptionValue] = [:], checkedBy specs: [OptionSpec]) throws(Refusal) {
    var values: [String: OptionValue] = [:]
    for name in given.keys.sorted() where !specs.contains(where: { $0.name == name }) {
      throw Refusal("unknown option \(name)", remedy: "known: " + specs.map(\.name).joined(separator: ", "))
    }
    for spec in specs {
      values[spec.name] = try spec.checked(given[spec.name] ?? spec.standard)
    }
    self.values = values
  }

  public func int(_ name: String) -> Int {
    guard case .int(let value)? = values[name] else { preconditionFailure("option \(name) is no integer") }
    return value
  }

  public func double(_ name: String) -> Double {
    guard let value = values[name]?.number else { preconditionFailure("option \(name) is no number") }
    return value
  }

  public func bool(_ name: String) -> Bool { values[name] == .bool(true) }

  public func string(_ name: String) -> String {
    guard case .string(let value)? = values[name] else { preconditionFailure("option \(name) is no text") }
    return value
  }

  /// Nil where the value is `null`.
  public func optionalDouble(_ name: String) -> Double? { values[name]?.number }

  public func optionalInt(_ name: String) -> Int? {
    guard case .int(let value)? = values[name] else { return nil }
    return value
  }

  public func optionalString(_ name: String) -> String? {
    guard case .string(let value)? = values[name] else { return nil }
    return value
  }

  /// Numbers by site pattern.
  public func table(_ name: String) -> [String: Double] {
    guard case .map(let entries)? = values[name] else { return [:] }
    return entries.compactMapValues(\.number)
  }

  public func doubles(_ name: String) -> [Double] {
    guard case .list(let items)? = values[name] else { return [] }
    return items.compactMap(\.number)
  }
}

extension OptionSpec {
  /// The value in this option's type, or a refusal naming what is allowed.
  public func checked(_ value: OptionValue) throws(Refusal) -> OptionValue {
    if value == .null, standard == .null { return value }
    switch (kind, value) {
    case (.integer(let range), .int(let number)) where range.contains(number): return value
    case (.number(let range, let aboveLower, let belowUpper), _):
      guard let number = value.number, number.isFinite, range.contains(number),
        !(aboveLower && number == range.lowerBound), !(belowUpper && number == range.upperBound)
      else { break }
      return .double(number)
    case (.boolean, .bool), (.text, .string): return value
    case (.choice(let choices), .string(let choice)) where choices.contains(choice): return value
    case (.numbers, .list(let items)) where items.allSatisfy({ $0.number?.isFinite == true }): return value
    case (.embedding, .list(let items)) where items.allSatisfy({ $0.number?.isFinite == true }): return value
    case (.embedding, .string(let words)) where words.contains(where: { !$0.isWhitespace }): return value
    case (.table, .map(let entries)) where entries.values.allSatisfy({ $0.number.map { $0 > 0 && $0.isFinite } ?? false }):
      return value
    default: break
    }
    throw Refusal("\(name) is \(value.text), but must be \(kind.text)")
  }
}

extension OptionSpec.Kind {
  /// What the option may be, in words.
  public var text: String {
    switch self {
    case .integer(let range):
      range.upperBound == .max
        ? "an integer of at least \(range.lowerBound)" : "an integer from \(range.lowerBound) to \(range.upperBound)"
    case .number(let range, let aboveLower, let belowUpper):
      switch (range.lowerBound.magnitude < .greatestFiniteMagnitude, range.upperBound < .greatestFiniteMagnitude) {
      case (false, false): "a finite number"
      case (true, false): "a number \(aboveLower ? "above" : "of at least") \(range.lowerBound)"
      case (_, true): "a number in \(aboveLower ? "(" : "[")\(range.lowerBound), \(range.upperBound)\(belowUpper ? ")" : "]")"
      }
    case .boolean: "true or false"
    case .text: "text"
    case .choice(let choices): "one of " + choices.joined(separator: ", ")
    case .numbers: "a list of numbers"
    case .embedding: "a list of numbers, or a text"
    case .table: "a mapping from site patterns to positive numbers"
    }
  }
}
