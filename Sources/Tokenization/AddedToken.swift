/// A token found in the text itself, before it is cut into words.
public struct AddedToken: Sendable, Equatable {
  public let id: Int
  public let content: String
  /// Left out by `decode` unless asked for.
  public let isSpecial: Bool
  /// Takes the white space before it along.
  public let stripsLeft: Bool
  /// Takes the white space after it along.
  public let stripsRight: Bool
  /// Found only where no letter or digit touches it.
  public let isSingleWord: Bool
  /// Looked for after normalization, in its normalized form.
  public let isNormalized: Bool

  init(_ field: Field) throws(TokenizerError) {
    id = Int(try field["id"].tokenID())
    content = try field["content"].string()
    isSpecial = try field["special"].bool(default: false)
    stripsLeft = try field["lstrip"].bool(default: false)
    stripsRight = try field["rstrip"].bool(default: false)
    isSingleWord = try field["single_word"].bool(default: false)
    isNormalized = try field["normalized"].bool(default: !isSpecial)
  }
}
