/// Why a tokenizer document cannot be used, and where in the document that stands.
public struct TokenizerError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The place as a path (`pre_tokenizer.pretokenizers[1]`), empty for the document as a whole.
  public var path: String
  public var message: String

  public init(path: String, message: String) {
    self.path = path
    self.message = message
  }

  public var description: String { path.isEmpty ? message : "\(path): \(message)" }
}
