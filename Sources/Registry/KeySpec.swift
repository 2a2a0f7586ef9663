import PEFTKernel

/// One key of a run file or a method entry: its type, range, default, and what other programs call it.
///
/// Reader, error texts and `docs/schema.md` all come from these tables.
public struct KeySpec: Sendable {
  public enum Kind: Sendable {
    /// A value that an option of a method could have too.
    case value(OptionSpec.Kind)
    /// A path, relative to the file that holds it.
    case path(Place)
    /// A list of strings.
    case texts
    /// A mapping of names to texts, numbers and truth values.
    case variables
    /// What chooses sites: a string or a list of strings.
    case selectors
    /// A layer's index or a list of them.
    case layers
    case section([KeySpec])
    /// A registered choice: its name, or a mapping of `use` and its options.
    case choice(String)
    /// A method: an entry's name, an entry with replacements, or an entry in full.
    case method
  }

  /// What a path leads to.
  public enum Place: Sendable {
    case folder
    case file
    /// A file, or a folder that holds several.
    case fileOrFolder
    /// Will be created.
    case output
  }

  public var name: String
  public var kind: Kind
  /// What stands where the key is left out. `.null` where nothing does; then `null` may be written too.
  public var standard: OptionValue
  public var isRequired: Bool
  /// Whether `null` may be written though there is a default: it switches off what the key is for.
  public var allowsNull: Bool
  public var summary: String

  public init(
    _ name: String, _ kind: Kind, default standard: OptionValue = .null, required: Bool = false, allowsNull: Bool = false,
    _ summary: String
  ) {
    self.name = name
    self.kind = kind
    self.standard = standard
    self.isRequired = required
    self.allowsNull = allowsNull || (standard == .null && !required)
    self.summary = summary
  }
}

extension KeySpec.Kind {
  /// What the value may be, in words.
  public var text: String {
    switch self {
    case .value(let kind): kind.text
    case .path(.folder): "the path of a folder"
    case .path(.file): "the path of a file"
    case .path(.fileOrFolder): "the path of a file or of a folder"
    case .path(.output): "a path"
    case .texts: "a list of strings"
    case .variables: "a mapping of names to texts, numbers or truth values"
    case .selectors: "a string or a list of strings"
    case .layers: "a layer's index or a list of them"
    case .section: "a mapping"
    case .choice(let axis):
      "the name of a registered \(axis), or a mapping of `\(axis == "optimizer" ? "name" : "use")` and its options"
    case .method: "the name of a method, or a mapping"
    }
  }
}
