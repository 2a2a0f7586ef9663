import Testing
import YAML

@Suite struct YAMLReaderTests {
  @Test func readsStructureAndPlaces() throws {
    let node = try YAMLNode.parse("# run\nname: x\nlist:\n  - 1\n  - {a: b}\n", file: "run.yaml")
    #expect(node.entries?.map(\.key.text) == ["name", "list"])
    #expect(node["name"]?.mark == Mark(line: 2, column: 7))
    #expect(node["list"]?.items?[1]["a"]?.mark == Mark(line: 5, column: 9))
    #expect(node.entries?[1].key.mark == Mark(line: 3, column: 1))
    #expect(node["none"] == nil)
  }

  @Test(arguments: [
    ("1", YAMLScalar.int(1)), ("+3", .int(3)), ("-3", .int(-3)), ("007", .int(7)), ("1e-4", .double(1e-4)),
    ("1E5", .double(1e5)), (".5", .double(0.5)), ("5.", .double(5)), ("-.5e+1", .double(-5)), ("1_000", .string("1_000")),
    ("0x1F", .string("0x1F")), ("1e999", .string("1e999")), ("nan", .string("nan")),
    ("inf", .string("inf")), ("-.inf", .double(-.infinity)), (".", .string(".")), ("e5", .string("e5")), ("1e", .string("1e")),
    ("99999999999999999999", .double(1e20)), ("true", .bool(true)), ("FALSE", .bool(false)), ("tRue", .string("tRue")),
    ("yes", .string("yes")), ("off", .string("off")), ("null", .null), ("~", .null), ("1.2.3", .string("1.2.3")),
    ("\"1\"", .string("1")), ("'true'", .string("true")), ("\"\"", .string("")), ("!!str 5", .string("5")), ("", .null),
  ])
  func readsScalars(_ text: String, _ expected: YAMLScalar) throws {
    #expect(try YAMLNode.parse("k: \(text)\n", file: "f")["k"]?.scalar == expected)
  }

  @Test func accessors() throws {
    let node = try YAMLNode.parse("i: 1e3\nd: 2\nf: 1.5\nb: True\ns: x\nn:\nq: '8'\n", file: "f")
    #expect(node["i"]?.asInt == 1000)
    #expect(node["d"]?.asDouble == 2)
    #expect(node["f"]?.asInt == nil)
    #expect(node["b"]?.asBool == true)
    #expect(node["s"]?.asString == "x")
    #expect(node["d"]?.asString == nil)
    #expect(node["n"]?.isNull == true)
    #expect(node["q"]?.asInt == nil)
  }

  @Test(arguments: [
    ("yes", "'yes' is a string here; write true"), ("Off", "'Off' is a string here; write false"),
    ("1_000", "'1_000' is a string here; write 1000"), ("'8'", "'8' stands in quotes and is a string; write it without"),
    ("word", nil), ("8", nil), ("a_b", nil),
  ])
  func hints(_ text: String, _ hint: String?) throws {
    #expect(try YAMLNode.parse("k: \(text)", file: "f")["k"]?.hint == hint)
  }

  @Test func summaries() throws {
    let node = try YAMLNode.parse("[1, 1.5, true, x, ~, [], {}]", file: "f")
    #expect(
      node.items?.map(\.summary) == [
        "the integer 1", "the number 1.5", "the truth value true", "the string 'x'", "nothing", "a list", "a mapping",
      ])
  }

  @Test func aliases() throws {
    let node = try YAMLNode.parse("a: &x {r: 8}\nb: *x\n", file: "f")
    #expect(node["b"] == node["a"])
    #expect(node["b"]?.mark == Mark(line: 2, column: 4))
  }

  @Test(arguments: [
    ("a: 1\nb: 2\na: 3\n", "f:3:1: duplicate key 'a' (first at 1:1)"),
    ("x: {'a': 1, a: 2}\n", "f:1:13: duplicate key 'a' (first at 1:5)"),
    (#"{"\n\e": 1, "\n\e": 2}"#, #"f:1:13: duplicate key '\u{a}\u{1b}' (first at 1:2)"#), ("", "f:1:1: the document is empty"),
    ("# only words\n", "f:2:1: the document is empty"),
    ("---\n", "f:2:1: the document is empty"), ("a: 1\n---\nb: 2\n", "f:2:1: a second document starts here; a file holds one"),
    ("a: &x {}\nb:\n  <<: *x\n", "f:3:3: merge keys (<<) are not read; write the keys out"),
    ("[a, b]: 1\n", "f:1:1: a key must be a word, not a list"),
    ("a: *b\n", "f:1:4: '*b' names nothing that is complete before it"),
    ("a: &x [*x]\n", "f:1:8: '*x' names nothing that is complete before it"),
    ("a: !!python/object x\n", "f:1:4: the tag 'tag:yaml.org,2002:python/object' is not known"),
    ("a: !!int 5\n", "f:1:4: the tag 'tag:yaml.org,2002:int' is not known"),
    ("a: [1, 2\n", "f:2:1: did not find expected ',' or ']' (while parsing a flow sequence from 1:4)"),
    ("a: 1\n\tb: 2\n", "f:2:1: a tab stands here; YAML is indented with spaces"),
    ("a:\n\t- 1\n", "f:2:1: a tab stands here; YAML is indented with spaces"),
    ("a: b: c\n", "f:1:5: mapping values are not allowed in this context"),
  ])
  func refuses(_ text: String, _ message: String) {
    let error = #expect(throws: YAMLError.self) { try YAMLNode.parse(text, file: "f") }
    #expect(error?.description == message)
  }

  @Test(arguments: [".nan", ".NaN", ".NAN"])
  func whatIsNoNumberIsOneStill(_ text: String) throws {
    let node = try #require(YAMLNode.parse("k: \(text)\n", file: "f")["k"])
    #expect(node.asDouble?.isNaN == true && node.asInt == nil && node.summary == "the number \(text)")
  }

  @Test func refusesBytesThatAreNoText() {
    for bytes: [UInt8] in [[0x61, 0x3A, 0x0A, 0x62, 0xFF], [0x61, 0x3A, 0x0A, 0x62, 0x00]] {
      let error = #expect(throws: YAMLError.self) { try YAMLNode.parse(bytes, file: "f") }
      #expect(error?.mark == Mark(line: 2, column: 2))
    }
  }

  @Test func boundsDepth() {
    for text in [
      String(repeating: "[", count: 100_000), String(repeating: "- ", count: 65) + "x",
      "a: &a " + String(repeating: "[", count: 40) + String(repeating: "]", count: 40) + "\nb: "
        + String(repeating: "[", count: 30) + "*a" + String(repeating: "]", count: 30),
    ] {
      let error = #expect(throws: YAMLError.self) { try YAMLNode.parse(text, file: "f") }
      #expect(error?.message == "nested deeper than 64 levels")
    }
    #expect(throws: Never.self) { try YAMLNode.parse(String(repeating: "- ", count: 63) + "x", file: "f") }
  }

  @Test func boundsExpansion() {
    // Each line holds the one before nine times: a billion nodes by the ninth.
    var text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    for i in 1..<10 { text += "a\(i): &a\(i) [" + Array(repeating: "*a\(i - 1)", count: 9).joined(separator: ", ") + "]\n" }
    let error = #expect(throws: YAMLError.self) { try YAMLNode.parse(text, file: "f") }
    #expect(error?.message == "more than 100000 nodes")
    #expect(throws: YAMLError.self) { try YAMLNode.parse(String(repeating: " ", count: (1 << 24) + 1), file: "f") }
  }

  /// Any two bytes changed may be harmless or refused, but never end the process; what is read is written equal.
  @Test func changedBytesAreSurvived() throws {
    let whole = Array("a: &x [1, 'b', \"c\"]\ng: {d: e}\nf:\n  - *x\n  - |\n    text\n# word\n".utf8)
    for place in whole.indices {
      for byte in Array("\0\t\n !\"#%&'*,-:<>?@[]{}|~\u{7F}\u{E9}".utf8) {
        for second in [place, place + 2] where second < whole.count {
          var bytes = whole
          bytes[place] = byte
          bytes[second] = byte
          guard let node = try? YAMLNode.parse(bytes, file: "f") else { continue }
          #expect(try YAMLNode.parse(node.yaml(), file: "f") == node)
        }
      }
    }
  }

  @Test func readsAByteOrderMarkAndWindowsLines() throws {
    let node = try YAMLNode.parse([0xEF, 0xBB, 0xBF] + Array("a: 1\r\nb: x\r\n".utf8), file: "f")
    #expect(node == .mapping([("a", .int(1)), ("b", .string("x"))]))
  }
}
