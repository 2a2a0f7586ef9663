import JSON

/// What an expression of a template evaluates to: the part of Python's values that chat templates see.
enum Value: Sendable {
  /// What is not there, with the name it was asked for by. Prints as nothing, is false, and has no attributes.
  case undefined(String)
  case none
  case bool(Bool)
  case int(Int)
  case float(Double)
  case string(String)
  case sequence(Sequence)
  case mapping(Mapping)
  case namespace(Namespace)
  case macro(Macro)
  /// A function or method that is named, but not called.
  case function(String)

  /// A list, a tuple, or what a filter gives out one by one.
  struct Sequence: Sendable {
    enum Kind: Sendable {
      case list
      case tuple
      /// Python's generators: always true, without a length, and empty the second time.
      case generator
    }
    var items: [Value]
    var kind: Kind
    /// How deep containers lie in one another, itself included.
    let depth: Int

    init(_ items: [Value], _ kind: Kind = .list) {
      self.items = items
      self.kind = kind
      depth = 1 + (items.map(\.depth).max() ?? 0)
    }
  }

  /// A dictionary: keys are strings, in the order they came.
  struct Mapping: Sendable {
    private(set) var entries: [(key: String, value: Value)]
    let depth: Int
    /// The place among the messages of the conversation, where it is one of them.
    var message: Int?

    init(_ entries: [(key: String, value: Value)], message: Int? = nil) {
      self.entries = entries
      self.message = message
      depth = 1 + (entries.map(\.value.depth).max() ?? 0)
    }

    /// By the bytes of the key: what Unicode calls equal are different keys.
    subscript(key: String) -> Value? { entries.first { $0.key.isSame(as: key) }?.value }
  }

  /// What `namespace()` makes: the one value that changes.
  final class Namespace: @unchecked Sendable {
    // One render has it to itself.
    var values: [String: Value] = [:]
  }

  static func list(_ items: [Value]) -> Value { .sequence(Sequence(items)) }
  static func tuple(_ items: [Value]) -> Value { .sequence(Sequence(items, .tuple)) }
  static func generator(_ items: [Value]) -> Value { .sequence(Sequence(items, .generator)) }

  var depth: Int {
    switch self {
    case .sequence(let sequence): sequence.depth
    case .mapping(let mapping): mapping.depth
    default: 0
    }
  }

  init(_ json: JSON) {
    switch json {
    case .null: self = .none
    case .bool(let value): self = .bool(value)
    case .int(let value): self = .int(value)
    case .double(let value): self = .float(value)
    case .string(let value): self = .string(value)
    case .array(let items): self = .list(items.map(Value.init))
    case .object(let members): self = .mapping(Mapping(members.map { ($0.key, Value($0.value)) }))
    }
  }
}

extension Value {
  var isUndefined: Bool { if case .undefined = self { true } else { false } }

  var isTrue: Bool {
    switch self {
    case .undefined, .none: false
    case .bool(let value): value
    case .int(let value): value != 0
    case .float(let value): value != 0
    case .string(let value): !value.isEmpty
    case .sequence(let sequence): sequence.kind == .generator || !sequence.items.isEmpty
    case .mapping(let mapping): !mapping.entries.isEmpty
    case .namespace, .macro, .function: true
    }
  }

  /// A number, `True` and `False` among them, as Python counts.
  var number: Double? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): Double(value)
    case .float(let value): value
    default: nil
    }
  }

  var integer: Int? {
    switch self {
    case .bool(let value): value ? 1 : 0
    case .int(let value): value
    default: nil
    }
  }

  /// What Python calls its type, for messages.
  var typeName: String {
    switch self {
    case .undefined(let name): "'\(name)', which is undefined"
    case .none: "None"
    case .bool: "a truth value"
    case .int, .float: "a number"
    case .string: "a string"
    case .sequence(let sequence): sequence.kind == .tuple ? "a tuple" : "a list"
    case .mapping: "a mapping"
    case .namespace: "a namespace"
    case .macro: "a macro"
    case .function(let name): "the function \(name)"
    }
  }

  /// `a == b` in Python.
  static func areEqual(_ a: Value, _ b: Value) -> Bool {
    if let a = a.integer, let b = b.integer { return a == b }
    if let a = a.number, let b = b.number { return a == b }
    switch (a, b) {
    case (.undefined, .undefined), (.none, .none): return true
    case (.string(let a), .string(let b)): return a.isSame(as: b)
    case (.sequence(let a), .sequence(let b)):
      return a.kind == b.kind && a.items.count == b.items.count && zip(a.items, b.items).allSatisfy { areEqual($0, $1) }
    case (.mapping(let a), .mapping(let b)):
      return a.entries.count == b.entries.count
        && a.entries.allSatisfy { entry in b[entry.key].map { areEqual(entry.value, $0) } == true }
    case (.namespace(let a), .namespace(let b)): return a === b
    default: return false
    }
  }

  /// Whether `a < b`, and nil where Python does not order the two.
  static func isLess(_ a: Value, _ b: Value) -> Bool? {
    if let a = a.integer, let b = b.integer { return a < b }
    if let a = a.number, let b = b.number { return a < b }
    switch (a, b) {
    case (.string(let a), .string(let b)): return a.unicodeScalars.lexicographicallyPrecedes(b.unicodeScalars)
    case (.sequence(let a), .sequence(let b)) where a.kind == b.kind:
      for (x, y) in zip(a.items, b.items) where !areEqual(x, y) { return isLess(x, y) }
      return a.items.count < b.items.count
    default: return nil
    }
  }
}

extension String {
  /// The same code points: Swift's `==` also calls different spellings of one character equal.
  func isSame(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}
