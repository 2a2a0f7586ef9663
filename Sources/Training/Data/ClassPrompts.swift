import Files
import PEFTKernel

/// A text for every class, which images are compared with.
public struct ClassPrompts: Sendable, Hashable {
  /// What CLIP was tried with first.
  public static let template = "a photo of a {}."

  /// By the labels' ids.
  public let texts: [String]

  /// Puts every label into the template's one `{}`; underscores of a label become spaces, as names of folders and files are read.
  /// `{{` and `}}` stand for the braces themselves. Refuses a template without a place, and labels that become one text.
  public init(labels: [String], template: String = ClassPrompts.template) throws(Refusal) {
    let (before, after) = try Self.parts(template)
    texts = labels.map { before + $0.map { $0 == "_" ? " " : String($0) }.joined() + after }
    var seen: [String: String] = [:]
    for (label, text) in zip(labels, texts) {
      if let other = seen.updateValue(label, forKey: text) {
        throw Refusal(
          "the labels '\(printable(other))' and '\(printable(label))' become the same text, \"\(printable(text))\"",
          remedy: "give them different names")
      }
    }
  }

  private static func parts(_ template: String) throws(Refusal) -> (String, String) {
    let refusal = Refusal(
      "the prompt template \"\(printable(template))\" is no text with one place for the class",
      remedy: "write {} where it goes, as in \"\(Self.template)\", and {{ or }} for a brace")
    var parts = [""]
    var rest = Array(template)[...]
    while let character = rest.popFirst() {
      switch (character, rest.first) {
      case ("{", "{"), ("}", "}"):
        rest.removeFirst()
        parts[parts.count - 1].append(character)
      case ("{", "}"):
        rest.removeFirst()
        parts.append("")
      case ("{", _), ("}", _): throw refusal
      default: parts[parts.count - 1].append(character)
      }
    }
    guard parts.count == 2 else { throw refusal }
    return (parts[0], parts[1])
  }
}
