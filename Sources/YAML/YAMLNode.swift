/// A YAML document as a value that remembers where each part of it stood.
///
/// Mappings keep their order; their keys are scalars and differ from one another.
public struct YAMLNode: Sendable {
  public enum Kind: Sendable {
    case scalar(String, Style)
    case sequence([YAMLNode])
    case mapping([Entry])
  }

  /// How a scalar was written. Only plain ones can be numbers, truth values or null.
  public enum Style: Sendable {
    case plain
    case quoted
  }

  public struct Entry: Sendable {
    public var key: YAMLNode
    public var value: YAMLNode

    public init(key: YAMLNode, value: YAMLNode) {
      self.key = key
      self.value = value
    }
  }

  public var kind: Kind
  public var mark: Mark

  public init(_ kind: Kind, mark: Mark = .none) {
    self.kind = kind
    self.mark = mark
  }
}

extension YAMLNode {
  /// The items of a sequence.
  public var items: [YAMLNode]? {
    guard case .sequence(let items) = kind else { return nil }
    return items
  }

  /// The entries of a mapping, in the order of the text.
  public var entries: [Entry]? {
    guard case .mapping(let entries) = kind else { return nil }
    return entries
  }

  /// The value of that key, `nil` where there is none or this is no mapping.
  public subscript(key: String) -> YAMLNode? {
    entries?.first { $0.key.text == key }?.value
  }
}

/// Nodes to write.
extension YAMLNode {
  public static var null: YAMLNode { .init(.scalar("null", .plain)) }
  public static func string(_ value: String) -> YAMLNode { .init(.scalar(value, .quoted)) }
  public static func int(_ value: Int) -> YAMLNode { .init(.scalar(String(value), .plain)) }
  public static func bool(_ value: Bool) -> YAMLNode { .init(.scalar(value ? "true" : "false", .plain)) }
  public static func sequence(_ items: [YAMLNode]) -> YAMLNode { .init(.sequence(items)) }

  /// A number that reads back with the same bits, or as no number where it is none.
  public static func double(_ value: Double) -> YAMLNode {
    if value.isNaN { return .init(.scalar(".nan", .plain)) }
    if value.isInfinite { return .init(.scalar(value < 0 ? "-.inf" : ".inf", .plain)) }
    return .init(.scalar("\(value)", .plain))
  }

  /// A mapping in the given order. Of equal keys the reader will accept one only: give each once.
  public static func mapping(_ entries: [(String, YAMLNode)]) -> YAMLNode {
    .init(.mapping(entries.map { Entry(key: .string($0.0), value: $0.1) }))
  }
}

/// Two nodes are equal when they mean the same: places, quotes and the spelling of a number do not count.
extension YAMLNode: Equatable {
  public static func == (a: YAMLNode, b: YAMLNode) -> Bool {
    switch (a.kind, b.kind) {
    case (.scalar, .scalar): a.scalar == b.scalar
    case (.sequence(let x), .sequence(let y)): x == y
    case (.mapping(let x), .mapping(let y)): x.elementsEqual(y) { $0.key == $1.key && $0.value == $1.value }
    default: false
    }
  }
}
