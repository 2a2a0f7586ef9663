import JSON
import Testing

@testable import Tokenization

/// What is not supported is refused by name, at its place.
@Suite struct RefusalTests {
  private static let model: JSON = ["type": "BPE", "vocab": ["a": 0, "b": 1, "ab": 2], "merges": ["a b"]]

  private func message(_ members: (String, JSON)...) -> String {
    var document: [JSON.Member] = members.map { .init($0.0, $0.1) }
    if !members.contains(where: { $0.0 == "model" }) { document.append(.init("model", Self.model)) }
    return message(.object(document))
  }

  private func message(_ document: JSON) -> String {
    do {
      _ = try Tokenizer(json: document)
      return "accepted"
    } catch {
      return error.description
    }
  }

  private func model(_ key: String, _ value: JSON) -> String {
    var members = Self.model.members ?? []
    members.removeAll { $0.key == key }
    members.append(.init(key, value))
    return message(("model", .object(members)))
  }

  @Test func accepts() {
    let truncation: JSON = ["direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0]
    #expect(message(("version", "1.0"), ("truncation", truncation), ("padding", nil)) == "accepted")
    #expect(message(["model": ["vocab": [:], "merges": []]]) == "accepted")
  }

  @Test func documents() throws {
    #expect(message([]) == "expected an object, found an array")
    #expect(message([:]) == "model: expected an object, found nothing")
    #expect(message(("version", "2.0")) == "version: \"2.0\" is not supported")
    #expect(throws: TokenizerError(path: "", message: "1:2: expected a key in quotes")) {
      try Tokenizer(parsing: Array("{".utf8) + [0xFF])
    }
  }

  @Test func components() {
    #expect(
      message(("normalizer", ["type": "Precompiled", "precompiled_charsmap": ""]))
        == "normalizer: type \"Precompiled\" is not supported")
    #expect(
      message(("normalizer", ["type": "Sequence", "normalizers": [["type": "NFC"], ["type": "Cyrillic"]]]))
        == "normalizer.normalizers[1]: type \"Cyrillic\" is not supported")
    #expect(
      message(("normalizer", ["type": "Strip", "strip_left": true]))
        == "normalizer.strip_right: expected true or false, found nothing")
    #expect(
      message(("normalizer", ["type": "Replace", "pattern": ["Glob": "*"], "content": ""]))
        == "normalizer.pattern: expected a \"String\" or a \"Regex\"")
    #expect(
      message(
        (
          "pre_tokenizer",
          ["type": "Sequence", "pretokenizers": [["type": "Digits", "individual_digits": true], ["type": "UnicodeScripts"]]]
        ))
        == "pre_tokenizer.pretokenizers[1]: type \"UnicodeScripts\" is not supported")
    #expect(message(("pre_tokenizer", ["type": 3])) == "pre_tokenizer.type: expected a string, found a number")
    #expect(message(("pre_tokenizer", "ByteLevel")) == "pre_tokenizer: expected an object, found a string")
    #expect(
      message(("pre_tokenizer", ["type": "ByteLevel"]))
        == "pre_tokenizer.add_prefix_space: expected true or false, found nothing")
    let metaspace: JSON = ["type": "Metaspace", "replacement": "ab"]
    #expect(message(("pre_tokenizer", metaspace)) == "pre_tokenizer.replacement: expected one character, found \"ab\"")
    #expect(
      message(("pre_tokenizer", ["type": "Metaspace", "replacement": "_", "prepend_scheme": "last"]))
        == "pre_tokenizer.prepend_scheme: \"last\" is not supported")
    #expect(
      message(("decoder", ["type": "Metaspace", "replacement": "_", "prepend_scheme": "first", "add_prefix_space": false]))
        == "decoder.add_prefix_space: false contradicts the prepend_scheme \"first\"")
    #expect(
      message(("pre_tokenizer", ["type": "FixedLength", "length": 0]))
        == "pre_tokenizer.length: 0 is not supported: words have at least one character")
    #expect(message(("post_processor", ["type": "Other"])) == "post_processor: type \"Other\" is not supported")
    #expect(
      message(("post_processor", ["type": "BertProcessing", "cls": ["a", 0], "sep": ["[SEP]", 9]]))
        == "post_processor.sep[1]: 9 is the id of no token")
    #expect(
      message(("post_processor", ["type": "BertProcessing", "cls": ["a"], "sep": ["b", 1]]))
        == "post_processor.cls: expected a token and its id")
    #expect(message(("decoder", ["type": "CTC"])) == "decoder: type \"CTC\" is not supported")
    #expect(
      message(("decoder", ["type": "Strip", "content": " ", "start": -1, "stop": 0]))
        == "decoder.start: -1 is not supported")
    #expect(
      message(("model", ["type": "Unigram", "vocab": [["a", 0]], "unk_id": 0])) == "model: type \"Unigram\" is not supported")
  }

  @Test func splits() {
    func split(_ pattern: JSON, _ behavior: JSON = "Isolated", invert: JSON = false) -> String {
      message(("pre_tokenizer", ["type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert]))
    }
    func refusal(_ regex: String) -> String {
      let text = split(["Regex": .string(regex)])
      return text.split(separator: " is not supported: ", maxSplits: 1).last.map(String.init) ?? text
    }
    #expect(split(["Regex": .string(SplitPattern.gpt2.regex)]) == "accepted")
    #expect(split(["String": " "], "MergedWithNext", invert: true) == "accepted")
    #expect(split(["String": " "], "Dropped") == "pre_tokenizer.behavior: \"Dropped\" is not supported")
    #expect(split([:]) == "pre_tokenizer.pattern: expected a \"String\" or a \"Regex\"")
    #expect(
      split(["Regex": "(a)\\1"]) == "pre_tokenizer.pattern.Regex: the pattern \"(a)\\\\1\" is not supported: the escape \\1")
    #expect(refusal("\\p{Han}+") == "\\p{Han}")
    #expect(refusal("(?~a)") == "the group (?~")
    #expect(refusal("(a") == "a group is not closed")
    #expect(refusal("a)") == "a group is closed that was not opened")
    #expect(refusal("[a") == "it ends too early")
    #expect(refusal("*a") == "a quantifier that follows nothing")
    #expect(refusal("a{3,2}") == "an interval whose end is before its start")
    #expect(refusal("a{2000}") == "more than 1000 repetitions")
    #expect(refusal("[z-a]") == "a range whose end is before its start")
    #expect(refusal("(?<=a+)b") == "looking behind for a text of no fixed length")
    #expect(refusal("(?i)press") == "\"ss\" without regard to case")
    #expect(refusal("((a{1000}){1000}){1000}") == "it is too long")
    #expect(refusal(String(repeating: "(", count: 60) + String(repeating: ")", count: 60)) == "groups nested more than 50 deep")
    #expect(refusal(String(repeating: "[", count: 60)) == "classes nested more than 20 deep")
  }

  @Test func models() {
    #expect(model("dropout", 0.1) == "model.dropout: dropout is not supported")
    #expect(model("dropout", 0) == "accepted")
    #expect(model("byte_fallback", true) == "accepted")
    #expect(model("end_of_word_suffix", "</w>") == "accepted")
    #expect(model("continuing_subword_prefix", "##") == "model.merges[0]: the second token lacks the prefix")
    #expect(model("continuing_subword_prefix", 1) == "model.continuing_subword_prefix: expected a string, found a number")
    #expect(model("unk_token", "<unk>") == "model.unk_token: \"<unk>\" is not in the vocabulary")
    #expect(model("vocab", ["a": 0, "b": 0]) == "model.vocab: \"a\" and \"b\" share the id 0")
    #expect(model("vocab", ["a": -1]) == "model.vocab[\"a\"]: -1 is no token id")
    #expect(model("vocab", ["a": 4_294_967_296]) == "model.vocab[\"a\"]: 4294967296 is no token id")
    #expect(model("vocab", ["a": "0"]) == "model.vocab[\"a\"]: expected an integer, found a string")
    #expect(model("vocab", [1]) == "model.vocab: expected an object, found an array")
    #expect(model("merges", nil) == "model.merges: expected an array, found nothing")
    #expect(model("merges", ["a b", "a c"]) == "model.merges[1]: \"c\" is not in the vocabulary")
    #expect(model("merges", [["b", "a"]]) == "model.merges[0]: \"ba\" is not in the vocabulary")
    #expect(model("merges", ["a b c"]) == "model.merges[0]: expected a pair of tokens")
    #expect(model("merges", [["a"]]) == "model.merges[0]: expected a pair of tokens")
    #expect(model("merges", ["#version: 0.2", "a b"]) == "accepted")
  }

  @Test func addedTokens() {
    #expect(message(("added_tokens", [["content": "x"]])) == "added_tokens[0].id: expected an integer, found nothing")
    #expect(message(("added_tokens", [["id": 3]])) == "added_tokens[0].content: expected a string, found nothing")
    #expect(message(("added_tokens", [["id": 1, "content": "a"]])) == "added_tokens[0].id: \"a\" already has the id 0")
    #expect(
      message(("added_tokens", [["id": 3, "content": "x"], ["id": 3, "content": "y"]]))
        == "added_tokens[1].id: 3 already belongs to \"x\"")
    #expect(
      message(("added_tokens", [["id": 7, "content": "x"]]))
        == "added_tokens[0].id: \"x\" has the id 7, but the tokenizers library would give it 3")
    #expect(
      message(
        ("normalizer", ["type": "Lowercase"]),
        ("added_tokens", [["id": 3, "content": "X", "normalized": true], ["id": 4, "content": "x", "normalized": true]]))
        == "added_tokens: \"x\" and \"X\" are the same once normalized")
    #expect(
      message(("added_tokens", [["id": 3, "content": .string(String(repeating: "x", count: 1001))]]))
        == "added_tokens[0].content: 1001 bytes are too long for a token: 1000 are the most")
    #expect(
      message(("added_tokens", [["id": 2_147_483_648, "content": "x"]])) == "added_tokens[0].id: 2147483648 is no token id")
    #expect(
      message(("added_tokens", [["id": 3, "content": "x", "lstrip": 1]]))
        == "added_tokens[0].lstrip: expected true or false, found a number")
  }

  @Test func templates() {
    func template(_ single: JSON) -> String {
      let special: JSON = ["<s>": ["id": "<s>", "ids": [-4]], "<e>": ["id": "<e>", "ids": [2, 3]]]
      return message(("post_processor", ["type": "TemplateProcessing", "single": single, "special_tokens": special]))
    }
    #expect(template([["Sequence": ["id": "A", "type_id": 0]]]) == "accepted")
    #expect(
      template([["Sequence": ["id": "B"]]]) == "post_processor.single[0].Sequence.id: \"B\" is no part of a single text")
    #expect(
      template([["SpecialToken": ["id": "</s>"]]])
        == "post_processor.single[0].SpecialToken.id: \"</s>\" is not among the special tokens")
    #expect(
      template([["SpecialToken": ["id": "<s>"]]]) == "post_processor.special_tokens.<s>.ids[0]: -4 is no token id")
    #expect(
      template([["SpecialToken": ["id": "<e>"]]]) == "post_processor.special_tokens.<e>.ids[1]: 3 is the id of no token")
    #expect(
      template([["Sequence": ["id": "A"]], ["Sequence": ["id": "A"]]])
        == "post_processor.single[1]: the text twice is not supported")
    #expect(template(["$A"]) == "post_processor.single[0]: expected a \"SpecialToken\" or a \"Sequence\"")
  }

  @Test func wordPieces() {
    func wordPiece(_ key: String, _ value: JSON) -> String {
      var members: [JSON.Member] = [
        .init("type", "WordPiece"), .init("vocab", ["[UNK]": 0, "a": 1]), .init("unk_token", "[UNK]"),
        .init("continuing_subword_prefix", "##"), .init("max_input_chars_per_word", 100),
      ]
      members.removeAll { $0.key == key }
      members.append(.init(key, value))
      return message(("model", .object(members)))
    }
    #expect(wordPiece("unk_token", "[X]") == "model.unk_token: \"[X]\" is not in the vocabulary")
    #expect(wordPiece("max_input_chars_per_word", -1) == "model.max_input_chars_per_word: -1 is less than 0")
    #expect(wordPiece("continuing_subword_prefix", nil) == "model.continuing_subword_prefix: expected a string, found nothing")
    #expect(wordPiece("max_input_chars_per_word", 1) == "accepted")
  }

  @Test func cuttingAndPadding() {
    func truncation(_ key: String, _ value: JSON) -> String {
      message(("truncation", .object([.init("max_length", 8), .init("stride", 0), .init(key, value)].uniqued())))
    }
    #expect(
      truncation("stride", 2)
        == "truncation.stride: 2 is not supported: what is cut off makes no further encodings here")
    #expect(truncation("strategy", "Other") == "truncation.strategy: \"Other\" is not supported")
    #expect(truncation("direction", "Up") == "truncation.direction: \"Up\" is not supported")
    #expect(truncation("max_length", -1) == "truncation.max_length: -1 is less than 0")
    func padding(_ strategy: JSON) -> String {
      message(
        (
          "padding",
          [
            "strategy": strategy, "direction": "Right", "pad_to_multiple_of": nil, "pad_id": 0, "pad_type_id": 0,
            "pad_token": "[PAD]",
          ]
        ))
    }
    #expect(padding("BatchLongest") == "accepted")
    #expect(padding(["Fixed": 128]) == "accepted")
    #expect(padding("Longest") == "padding.strategy: expected \"BatchLongest\" or a \"Fixed\" length")
    #expect(padding(["Fixed": 1_000_000_000_000]).hasPrefix("padding.strategy.Fixed: 1000000000000 is not supported"))
  }

  /// Chains that could fill any memory.
  @Test func growth() {
    let doubling: JSON = ["type": "Replace", "pattern": ["String": "a"], "content": "aa"]
    let chain: JSON = ["type": "Sequence", "normalizers": .array(Array(repeating: doubling, count: 30))]
    #expect(message(("normalizer", chain)).hasPrefix("normalizer: together these steps could make a text more than 4096 times"))
    let byteLevel: JSON = ["type": "ByteLevel", "add_prefix_space": false]
    let cuts: JSON = ["type": "Sequence", "pretokenizers": .array(Array(repeating: byteLevel, count: 30))]
    #expect(message(("pre_tokenizer", cuts)).hasPrefix("pre_tokenizer: together these steps could"))
    let template: JSON = ["type": "TemplateProcessing", "single": [["Sequence": ["id": "A"]]], "special_tokens": [:]]
    #expect(
      message(("post_processor", ["type": "Sequence", "processors": [template, template]]))
        == "post_processor.processors[1]: a second template is not supported")
  }
}

extension [JSON.Member] {
  /// The last of those that share a key.
  fileprivate func uniqued() -> [JSON.Member] {
    enumerated().filter { i, member in !self[(i + 1)...].contains { $0.key == member.key } }.map(\.element)
  }
}
