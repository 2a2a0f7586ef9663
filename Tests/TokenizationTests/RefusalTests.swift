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
    #expect(message(("version", "1.0"), ("truncation", ["max_length": 8]), ("padding", nil)) == "accepted")
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
    #expect(message(("normalizer", ["type": "Lowercase"])) == "normalizer: type \"Lowercase\" is not supported")
    #expect(
      message(("normalizer", ["type": "Sequence", "normalizers": [["type": "NFC"], ["type": "NFKC"]]]))
        == "normalizer.normalizers[1]: type \"NFKC\" is not supported")
    #expect(
      message(
        (
          "pre_tokenizer",
          ["type": "Sequence", "pretokenizers": [["type": "Digits", "individual_digits": true], ["type": "Metaspace"]]]
        ))
        == "pre_tokenizer.pretokenizers[1]: type \"Metaspace\" is not supported")
    let byteLevel: JSON = ["type": "ByteLevel", "add_prefix_space": false]
    #expect(
      message(("pre_tokenizer", ["type": "Sequence", "pretokenizers": [byteLevel, byteLevel]]))
        == "pre_tokenizer.pretokenizers[1]: a second ByteLevel is not supported")
    #expect(message(("pre_tokenizer", ["type": 3])) == "pre_tokenizer.type: expected a string, found a number")
    #expect(message(("pre_tokenizer", "ByteLevel")) == "pre_tokenizer: expected an object, found a string")
    #expect(
      message(("pre_tokenizer", ["type": "ByteLevel"]))
        == "pre_tokenizer.add_prefix_space: expected true or false, found nothing")
    #expect(message(("post_processor", ["type": "BertProcessing"])) == "post_processor: type \"BertProcessing\" is not supported")
    #expect(message(("decoder", ["type": "WordPiece"])) == "decoder: type \"WordPiece\" is not supported")
    #expect(
      message(("decoder", ["type": "Sequence", "decoders": [["type": "ByteLevel"], ["type": "Fuse"]]]))
        == "decoder.decoders[1]: a second decoder is not supported")
    #expect(message(("model", ["type": "WordPiece"])) == "model: type \"WordPiece\" is not supported")
  }

  @Test func splits() {
    func split(_ pattern: JSON, _ behavior: JSON = "Isolated", invert: JSON = false) -> String {
      message(("pre_tokenizer", ["type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert]))
    }
    let known: JSON = ["Regex": .string(SplitPattern.gpt2.regex)]
    #expect(split(known) == "accepted")
    #expect(split(known, "Removed", invert: true) == "accepted")
    #expect(split(known, "Removed") == "pre_tokenizer.behavior: \"Removed\" is not supported")
    #expect(
      split(known, "MergedWithNext", invert: true)
        == "pre_tokenizer.behavior: \"MergedWithNext\", inverted, is not supported")
    #expect(split(["Regex": "\\s+"]) == "pre_tokenizer.pattern.Regex: the pattern \"\\\\s+\" is not supported")
    #expect(split(["String": " "]) == "pre_tokenizer.pattern: only a \"Regex\" pattern is supported")
  }

  @Test func models() {
    #expect(model("dropout", 0.1) == "model.dropout: dropout is not supported")
    #expect(model("dropout", 0) == "accepted")
    #expect(model("byte_fallback", true) == "model.byte_fallback: true is not supported")
    #expect(model("end_of_word_suffix", "</w>") == "model.end_of_word_suffix: \"</w>\" is not supported")
    #expect(model("continuing_subword_prefix", "##") == "model.continuing_subword_prefix: \"##\" is not supported")
    #expect(model("continuing_subword_prefix", "") == "accepted")
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
}
