import Files
import JSON
import Tokenization
import Training

/// An example for people: every token with its text and whether it is learned.
struct TokenView {
  struct Token {
    var id: Int
    var text: String
    var isLearned: Bool
  }
  let tokens: [Token]
  /// How much there is, and what is learned of it.
  let summary: String

  /// Without a tokenizer, ids are all there is.
  init(_ example: Example, _ tokenizer: Tokenizer?) {
    // The first id is never predicted, whatever the example says.
    let learned = Set(example.learned.flatMap { Array($0) }).subtracting([0])
    tokens = example.ids.enumerated().map { index, id in
      Token(id: Int(id), text: Self.text(of: Int(id), tokenizer), isLearned: learned.contains(index))
    }
    let size = example.image.map { "an image of \($0.pixels.count) numbers" } ?? "\(tokens.count) tokens"
    summary =
      switch example.target {
      case .tokens: "\(size), \(learned.count) learned"
      case .label(let label): "\(size), class \(label)"
      case .partner: "\(size), the second text from \(example.border ?? 0) on"
      case .none: size
      }
  }

  /// What the token adds to a text; its spelling in the vocabulary where that is no text by itself.
  private static func text(of id: Int, _ tokenizer: Tokenizer?) -> String {
    guard let tokenizer else { return "" }
    let text = tokenizer.decode([id], skipSpecialTokens: false)
    return text.isEmpty || text.unicodeScalars.contains("\u{FFFD}") ? tokenizer.token(of: id) ?? "" : text
  }

  /// Lines of place, id, mark and text.
  var table: [String] {
    Format.table(
      tokens.enumerated().map { index, token in
        [String(index), String(token.id), token.isLearned ? "+" : " ", JSON.string(token.text).text()]
      }, right: [0, 1]
    ).map { printable($0, limit: .max) }
  }

  /// The text itself: learned tokens green, others dim, every other one underlined so that borders show.
  var coloured: String {
    var out = ""
    for (index, token) in tokens.enumerated() {
      let style = (token.isLearned ? "32" : "2") + (index % 2 == 0 ? "" : ";4")
      // Texts are strangers': none may move the cursor.
      let lines = token.text.split(separator: "\n", omittingEmptySubsequences: false).map { printable(String($0), limit: .max) }
      out += "\u{1B}[\(style)m" + lines.joined(separator: "↵\u{1B}[0m\n\u{1B}[\(style)m") + "\u{1B}[0m"
    }
    return out
  }

  func json(row: Int, place: String) -> JSON {
    [
      "row": .int(row), "place": .string(place), "ids": .array(tokens.map { .int($0.id) }),
      "learned": .array(tokens.map { .int($0.isLearned ? 1 : 0) }), "tokens": .array(tokens.map { .string($0.text) }),
    ]
  }
}
