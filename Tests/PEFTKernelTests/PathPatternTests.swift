import PEFTKernel
import Testing

@Suite("Regular expressions for paths")
struct PathPatternTests {
  private static let paths = [
    "model.layers.0.self_attn.q_proj",
    "model.layers.1.mlp.gate_proj",
    "model.layers.11.self_attn.v_proj",
    "lm_head",
    "model.norm",
    "",
  ]

  /// Each with what Python's `re.fullmatch` says of the paths.
  private static let known: [(String, [Bool])] = [
    (#"(.*\.)?(q_proj)"#, [true, false, false, false, false, false]),
    (#".*\.(q_proj|v_proj)"#, [true, false, true, false, false, false]),
    (#"q_proj|v_proj"#, [false, false, false, false, false, false]),
    (#"^(?!.*layers\.1\.).*self_attn\.(q|k)_proj"#, [true, false, false, false, false, false]),
    (#"model\.layers\.\d+\.mlp\..*_proj"#, [false, true, false, false, false, false]),
    (#"model\.layers\.[0-1]\..*"#, [true, true, false, false, false, false]),
    (#".*layers\.(?:0|2)\.[^.]+\.[a-z]_proj$"#, [true, false, false, false, false, false]),
    (#"(?i).*Q_PROJ"#, [true, false, false, false, false, false]),
    (#".*(?<=self_attn\.)v_proj"#, [false, false, true, false, false, false]),
    (#".*(?<!mlp\.)[a-z]+_proj"#, [true, true, true, false, false, false]),
    (#"\w+\.\w+\.\d\.\w+\.\w+"#, [true, true, false, false, false, false]),
    (#"m.{3}l\..*?[_]proj"#, [true, true, true, false, false, false]),
    (#"(?P<x>model)\.layers\.1(\..*)?"#, [false, true, false, false, false, false]),
    (#".*\b(q|v)_proj\b"#, [true, false, true, false, false, false]),
    (#".{1,200}"#, [true, true, true, true, true, false]),
    (#".{30}"#, [false, false, false, false, false, false]),
    (#"(model|layers|\.|[0-9_a-z])+"#, [true, true, true, true, true, false]),
    (#"[^\d]*\d[^\d]*"#, [true, true, false, false, false, false]),
    (#"model.layers.{1,2}1.*"#, [false, true, true, false, false, false]),
    (#"lm_head|"#, [false, false, false, true, false, true]),
    (#"([a-z_]+\.)*([0-9]\.)?[a-z_.]+"#, [true, true, false, true, true, false]),
    (#"\Amodel.*\Z"#, [true, true, true, false, true, false]),
    (#"a{0}model.*"#, [true, true, true, false, true, false]),
    (#"[\w.]+"#, [true, true, true, true, true, false]),
    (#"[]a]|lm_head"#, [false, false, false, true, false, false]),
    (#"x*"#, [false, false, false, false, false, true]),
  ]

  @Test("they match what Python matches")
  func python() throws {
    for (text, expected) in Self.known {
      let pattern = try PathPattern(text)
      #expect(Self.paths.map(pattern.matches) == expected, "\(text)")
    }
  }

  @Test("patterns that keep a backtracking engine busy take no time")
  func hostile() throws {
    let path = String(repeating: "a", count: 60) + "b"
    for text in [
      "(a+)+", "(a|aa)+", "((((a+)+)+)+)+", "(a*)*c", "(.*)*(.*)*(.*)*c", "((a?){1000}){1000}c", "(a|a|a|a){60}c",
      String(repeating: "(", count: 30) + "a" + String(repeating: "+)", count: 29) + ")",
      String(repeating: "a?", count: 60) + "c",
    ] {
      #expect(try PathPattern(text).matches(path) == false, "\(text)")
    }
  }

  @Test(
    "what is no expression, or is not served, is refused",
    arguments: ["(", ")", "[", "[a", "*", "a**", "\\", "a{2,1}", "(?P<x", #"(a)\1"#, "(?>a)", "a++", #"\q"#, "[b-a]", "x(?i)a"]
      + [String(repeating: "(", count: 50) + String(repeating: ")", count: 50), String(repeating: "a", count: 5000)])
  func refused(_ text: String) {
    #expect(throws: Refusal.self) { try PathPattern(text) }
  }
}
