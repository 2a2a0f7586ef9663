import JSON
import Testing

@testable import Tokenization

@Suite struct SettingsTests {
  @Test func readsTokensAndLimits() throws {
    let settings = try TokenizerSettings(config: [
      "bos_token": "<s>", "eos_token": ["content": "</s>", "lstrip": false], "pad_token": nil, "add_bos_token": true,
      "add_eos_token": false, "model_max_length": 2048, "clean_up_tokenization_spaces": true, "padding_side": "left",
      "additional_special_tokens": ["<a>", ["content": "<b>"]], "chat_template": "{{ x }}",
    ])
    #expect(settings.beginningToken == "<s>")
    #expect(settings.endToken == "</s>")
    #expect(settings.paddingToken == nil)
    #expect(settings.addsBeginningToken == true && settings.addsEndToken == false)
    #expect(settings.maximumLength == 2048)
    #expect(settings.cleansUpSpaces)
    #expect(settings.paddingSide == .left && settings.truncationSide == nil)
    #expect(settings.extraSpecialTokens == ["<a>", "<b>"])
    #expect(settings.chatTemplate == "{{ x }}")
    #expect(settings.specialTokens == ["<s>", "</s>", "<a>", "<b>"])
  }

  @Test func noLimitIsNone() throws {
    let huge = try JSON(parsing: #"{"model_max_length": 1000000000000000019884624838656}"#)
    #expect(try TokenizerSettings(config: huge).maximumLength == nil)
    #expect(try TokenizerSettings(config: nil).maximumLength == nil)
  }

  /// As `transformers` has it: the map goes before the config, but not where the config lists the added tokens.
  @Test func specialTokensMap() throws {
    let map: JSON = ["eos_token": ["content": "<map>"], "extra_special_tokens": ["image": "<image>"]]
    let settings = try TokenizerSettings(config: ["eos_token": "<config>"], specialTokensMap: map)
    #expect(settings.endToken == "<map>")
    #expect(settings.extraSpecialTokens == ["<image>"])
    let newer = try TokenizerSettings(config: ["eos_token": "<config>", "added_tokens_decoder": [:]], specialTokensMap: map)
    #expect(newer.endToken == "<config>")
    #expect(try TokenizerSettings(config: nil, specialTokensMap: map).endToken == "<map>")
  }

  @Test func refusals() {
    func message(_ config: JSON, _ map: JSON? = nil) -> String {
      do throws(TokenizerError) {
        _ = try TokenizerSettings(config: config, specialTokensMap: map)
        return "accepted"
      } catch {
        return error.description
      }
    }
    #expect(message([]) == "expected an object, found an array")
    #expect(message(["eos_token": 3]) == "eos_token: expected a string, found a number")
    #expect(message(["eos_token": [:]]) == "eos_token.content: expected a string, found nothing")
    #expect(message([:], ["bos_token": true]) == "special_tokens_map.bos_token: expected a string, found a boolean")
    #expect(message(["model_max_length": "long"]) == "model_max_length: expected a number, found a string")
    #expect(message(["padding_side": "top"]) == "padding_side: \"top\" is not supported")
  }

  /// A token that only the settings call special is found in texts, and left out of them.
  @Test func namedTokensAreSpecial() throws {
    let document: JSON = [
      "model": ["vocab": ["a": 0, "<": 1, "e": 2, ">": 3, "<e>": 4], "merges": []], "decoder": ["type": "Fuse"],
    ]
    let settings = try TokenizerSettings(config: ["eos_token": "<e>", "pad_token": "<nowhere>"])
    let plain = try Tokenizer(json: document)
    let tokenizer = try Tokenizer(json: document, settings: settings)
    #expect(plain.encode("a<e>") == [0, 1, 2, 3])
    #expect(tokenizer.encode("a<e>") == [0, 4])
    #expect(tokenizer.decode([0, 4]) == "a")
    #expect(tokenizer.decode([0, 4], skipSpecialTokens: false) == "a<e>")
    #expect(tokenizer.id(of: "<nowhere>") == nil)
  }

  @Test func cleansUp() throws {
    let document: JSON = [
      "model": ["type": "WordLevel", "vocab": ["it": 0, "'s": 1, ".": 2, "do": 3, "not": 4], "unk_token": "it"]
    ]
    let tokenizer = try Tokenizer(json: document)
    let settings = try TokenizerSettings(config: ["clean_up_tokenization_spaces": true])
    #expect(tokenizer.decode([0, 1, 3, 4, 2]) == "it 's do not .")
    #expect(tokenizer.decode([0, 1, 3, 4, 2], settings: settings) == "it's do not.")
    let bytePairs = try Tokenizer(json: ["model": ["vocab": ["a": 0, ".": 1], "merges": []]])
    #expect(bytePairs.decode([0, 1], settings: settings) == "a .")
  }
}
