/// Writing of HTML: every text and attribute goes through ``escaped(_:)``, so that nothing a user named can be markup.
enum HTML {
  static func escaped(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "\"": out += "&quot;"
      case "'": out += "&#39;"
      case _ where scalar.properties.generalCategory == .control && scalar != "\n" && scalar != "\t": out += "\u{FFFD}"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }

  /// An element around text.
  static func text(_ name: String, _ content: String) -> String { text(name, [:], content) }

  static func text(_ name: String, _ attributes: KeyValuePairs<String, String>, _ content: String) -> String {
    element(name, attributes, escaped(content))
  }

  /// An element around markup.
  static func element(_ name: String, _ content: String) -> String { element(name, [:], content) }

  static func element(_ name: String, _ attributes: KeyValuePairs<String, String>, _ content: String) -> String {
    "<\(name)\(written(attributes))>\(content)</\(name)>"
  }

  /// An element of SVG that has no content.
  static func empty(_ name: String, _ attributes: KeyValuePairs<String, String>) -> String { "<\(name)\(written(attributes))/>" }

  /// Rows under a head; columns in `left` hold words, the others numbers.
  static func table(_ head: [String], _ rows: [[String]], left: Set<Int> = [0]) -> String {
    func row(_ cells: [String], _ name: String) -> String {
      element(
        "tr",
        cells.enumerated().map { text(name, left.contains($0.offset) ? ["class": "word"] : [:], $0.element) }.joined())
    }
    let body = rows.map { row($0, "td") + "\n" }.joined()
    return element(
      "div", ["class": "wide"],
      element("table", element("thead", row(head, "th")) + "\n" + element("tbody", "\n" + body)))
  }

  private static func written(_ attributes: KeyValuePairs<String, String>) -> String {
    attributes.map { " \($0.key)=\"\(escaped($0.value))\"" }.joined()
  }
}
