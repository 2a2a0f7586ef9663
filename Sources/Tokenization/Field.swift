import JSON

/// A value of the document together with where it stands, so that every refusal can name the place.
///
/// A member that is absent reads as `null`: the format treats both alike.
struct Field {
  let path: String
  let value: JSON

  var isNull: Bool { value.isNull }

  subscript(key: String) -> Field {
    Field(path: path.isEmpty ? key : "\(path).\(key)", value: value[key] ?? .null)
  }

  func refusal(_ message: String) -> TokenizerError { TokenizerError(path: path, message: message) }

  func mismatch(expected: String) -> TokenizerError { refusal("expected \(expected), found \(value.kind)") }

  func string() throws(TokenizerError) -> String {
    guard let string = value.string else { throw mismatch(expected: "a string") }
    return string
  }

  func int() throws(TokenizerError) -> Int {
    guard let int = value.int else { throw mismatch(expected: "an integer") }
    return int
  }

  /// A string of one character, a scalar.
  func scalar() throws(TokenizerError) -> Unicode.Scalar {
    let text = try string()
    guard let scalar = text.unicodeScalars.first, text.unicodeScalars.count == 1 else {
      throw refusal("expected one character, found \(quoted(text))")
    }
    return scalar
  }

  /// A flag; without `default` it must be there.
  func bool(default: Bool? = nil) throws(TokenizerError) -> Bool {
    if isNull, let `default` { return `default` }
    guard let bool = value.bool else { throw mismatch(expected: "true or false") }
    return bool
  }

  func items() throws(TokenizerError) -> [Field] {
    guard let items = value.array else { throw mismatch(expected: "an array") }
    return items.enumerated().map { Field(path: "\(path)[\($0)]", value: $1) }
  }

  func members() throws(TokenizerError) -> [JSON.Member] {
    guard let members = value.members else { throw mismatch(expected: "an object") }
    return members
  }

  /// A token id: bounded, so that two of them pack into one word.
  func tokenID() throws(TokenizerError) -> UInt32 {
    let number = try int()
    guard let id = value.tokenID else { throw refusal("\(number) is no token id") }
    return id
  }

  /// The `type` of a component.
  func type() throws(TokenizerError) -> String {
    _ = try members()
    return try self["type"].string()
  }

  func unsupported(type: String) -> TokenizerError { refusal("type \(quoted(type)) is not supported") }
}

/// The text as JSON writes it: quotes, and escapes for what cannot be seen.
func quoted(_ text: String) -> String { JSON.string(text).text() }

extension JSON {
  /// A token id, `nil` for anything else.
  var tokenID: UInt32? {
    guard let int, int >= 0, int <= Int(Int32.max) else { return nil }
    return UInt32(int)
  }

  fileprivate var kind: String {
    switch self {
    case .null: "nothing"
    case .bool: "a boolean"
    case .int, .double: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}
