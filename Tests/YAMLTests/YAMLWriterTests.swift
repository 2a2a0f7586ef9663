import Testing
import YAML

@Suite struct YAMLWriterTests {
  @Test func writesReadableBlocks() {
    let node = YAMLNode.mapping([
      ("base_model", .string("models/smol")), ("method", .mapping([("use", .string("lora-ga")), ("rank", .int(16))])),
      ("target_modules", .sequence([.string("q_proj"), .string("v_proj")])), ("paper", .string("arXiv:2407.05000")),
      ("steps", .sequence([.mapping([("at", .int(1)), ("lr", .double(1e-4))]), .sequence([.int(1), .int(2)])])),
      ("none", .null), ("empty", .sequence([])), ("flag", .bool(true)), ("odd", .string("yes")),
    ])
    #expect(
      node.yaml() == """
        base_model: models/smol
        method:
          use: lora-ga
          rank: 16
        target_modules:
          - q_proj
          - v_proj
        paper: arXiv:2407.05000
        steps:
          - at: 1
            lr: 0.0001
          - - 1
            - 2
        none: null
        empty: []
        flag: true
        odd: "yes"

        """)
  }

  @Test(arguments: [
    "", " ", "a", "yes", "No", "null", "~", "1", "1e5", ".5", "0x1F", "1:30", "2024-01-01", "a: b", "a:", ":a", "a #b", "#a",
    "- a",
    "-", "---", "...", "?", "? a", "[a", "{a", "a, b", "*a", "&a", "!a", "|", ">", "@a", "`a", "%a", "'a'", "\"a\"", "a ", " a",
    "a\nb",
    "a\n", "\ta", "a\tb", "\u{0}", "\u{7F}", "\u{85}", "\u{A0}x", "\u{2028}", "\u{FEFF}a", "\u{FFFE}", "é", "😀", "\\", "\\n",
    "/srv/x", "./x", "../x", ".x", "q_proj", "model.layers.*.q", "(q|v)_proj$", "<<", "=", "a  b", "e\u{301}", "\r\n",
  ])
  func stringsReadBackEqual(_ text: String) throws {
    for node in [
      YAMLNode.string(text), .mapping([(text, .string(text)), ("z z", .null)]),
      .sequence([.string(text), .sequence([.string(text)])]),
    ] {
      let back = try YAMLNode.parse(node.yaml(), file: "f")
      #expect(back == node, "\(node.yaml())")
    }
    #expect(try YAMLNode.parse(YAMLNode.string(text).yaml(), file: "f").asString.map { Array($0.utf8) } == Array(text.utf8))
  }

  @Test func numbersReadBackEqual() throws {
    for value in [0, -0.0, 1.5, 1e-300, .leastNonzeroMagnitude, 1e22, .infinity, -.infinity, 3.0] {
      #expect(try YAMLNode.parse(YAMLNode.double(value).yaml(), file: "f").asDouble?.bitPattern == value.bitPattern)
    }
    #expect(try YAMLNode.parse(YAMLNode.int(.min).yaml(), file: "f").asInt == .min)
    #expect(YAMLNode.double(.nan).asDouble?.isNaN == true)
  }

  @Test func whatWasReadIsWrittenEqual() throws {
    let text = "a: &x\n  - {b: '1', c: 1_0, d: .5}\n  - |\n    two\n    lines\n  - []\ne: *x\n'': ~\n? \n: 1\n"
    // The empty plain key and the quoted empty one have the same text.
    #expect(throws: YAMLError.self) { try YAMLNode.parse(text, file: "f") }
    let node = try YAMLNode.parse(text.replacing("''", with: "'q'"), file: "f")
    #expect(try YAMLNode.parse(node.yaml(), file: "f") == node)
  }

  @Test func longKeys() throws {
    let node = YAMLNode.mapping([(String(repeating: "k", count: 3000), .mapping([("a", .int(1))])), ("b", .int(2))])
    #expect(try YAMLNode.parse(node.yaml(), file: "f") == node)
  }

  @Test func equalityIsOfMeaning() throws {
    #expect(try YAMLNode.parse("1e-4", file: "f") == YAMLNode.parse("1E-4", file: "g"))
    #expect(try YAMLNode.parse("1", file: "f") != YAMLNode.parse("'1'", file: "f"))
    #expect(try YAMLNode.parse("{a: 1, b: 2}", file: "f") != YAMLNode.parse("{b: 2, a: 1}", file: "f"))
  }
}
