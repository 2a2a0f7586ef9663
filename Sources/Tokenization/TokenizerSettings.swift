import JSON

/// What stands beside a `tokenizer.json`, in `tokenizer_config.json` and `special_tokens_map.json`, as `transformers` 5
/// takes it.
public struct TokenizerSettings: Sendable, Equatable {
  /// The tokens that have a role; `nil` where none is named.
  public private(set) var beginningToken: String?
  public private(set) var endToken: String?
  public private(set) var paddingToken: String?
  public private(set) var unknownToken: String?
  public private(set) var separatorToken: String?
  public private(set) var classificationToken: String?
  public private(set) var maskToken: String?
  /// Special tokens without a role.
  public private(set) var extraSpecialTokens: [String] = []
  /// The most tokens the model takes; `nil` where nothing is said, or something absurdly large, which means the same.
  public private(set) var maximumLength: Int?
  /// Whether decoded text loses the blanks before punctuation; for byte-pair encoding `transformers` does not do it.
  public private(set) var cleansUpSpaces = false
  public private(set) var paddingSide: Side?
  public private(set) var truncationSide: Side?
  /// As written. Beside a `tokenizer.json` these have no effect in `transformers` 5: its post-processor decides.
  public private(set) var addsBeginningToken: Bool?
  public private(set) var addsEndToken: Bool?
  /// The chat template of the config: a string, or a list of named ones.
  public private(set) var chatTemplate: JSON?

  /// - Parameters:
  ///   - config: `tokenizer_config.json`, where there is one.
  ///   - specialTokensMap: `special_tokens_map.json`, where there is one. It is heeded only without an
  ///     `added_tokens_decoder` in the config, and then goes before the config.
  public init(config: JSON?, specialTokensMap: JSON? = nil) throws(TokenizerError) {
    let config = Field(path: "", value: config ?? .object([]))
    _ = try config.members()
    let heedsMap = config["added_tokens_decoder"].isNull
    let map = Field(path: "special_tokens_map", value: heedsMap ? specialTokensMap ?? .object([]) : .object([]))
    _ = try map.members()
    func token(_ role: String) throws(TokenizerError) -> String? {
      try Self.content(map[role].isNull ? config[role] : map[role])
    }
    beginningToken = try token("bos_token")
    endToken = try token("eos_token")
    paddingToken = try token("pad_token")
    unknownToken = try token("unk_token")
    separatorToken = try token("sep_token")
    classificationToken = try token("cls_token")
    maskToken = try token("mask_token")
    for key in ["extra_special_tokens", "additional_special_tokens"] {
      let field = map[key].isNull ? config[key] : map[key]
      guard !field.isNull, extraSpecialTokens.isEmpty else { continue }
      // A list, or an object of names.
      var items: [Field] = []
      if let members = field.value.members {
        items = members.map { Field(path: "\(field.path).\($0.key)", value: $0.value) }
      } else {
        items = try field.items()
      }
      for item in items { if let token = try Self.content(item) { extraSpecialTokens.append(token) } }
    }
    let length = config["model_max_length"].isNull ? config["max_len"] : config["model_max_length"]
    if !length.isNull {
      guard let value = length.value.double else { throw length.mismatch(expected: "a number") }
      // What `transformers` writes for no limit is 10³⁰, and what it takes for one is 10²⁰.
      if value >= 1, value < 1e18 { maximumLength = Int(value) }
    }
    cleansUpSpaces = try config["clean_up_tokenization_spaces"].bool(default: false)
    paddingSide = config["padding_side"].isNull ? nil : try Side(config["padding_side"])
    truncationSide = config["truncation_side"].isNull ? nil : try Side(config["truncation_side"])
    addsBeginningToken = config["add_bos_token"].isNull ? nil : try config["add_bos_token"].bool()
    addsEndToken = config["add_eos_token"].isNull ? nil : try config["add_eos_token"].bool()
    chatTemplate = config["chat_template"].isNull ? nil : config["chat_template"].value
  }

  /// A token as a string, or as an object with its content.
  private static func content(_ field: Field) throws(TokenizerError) -> String? {
    if field.isNull { return nil }
    return field.value.string == nil && field.value.members != nil ? try field["content"].string() : try field.string()
  }

  /// All tokens named here.
  var specialTokens: [String] {
    [beginningToken, endToken, unknownToken, separatorToken, paddingToken, classificationToken, maskToken].compactMap { $0 }
      + extraSpecialTokens
  }
}

extension Tokenizer {
  /// The text of the ids as `transformers` gives it: cleaned up where the settings say so.
  public func decode(_ ids: [Int], skipSpecialTokens: Bool = true, settings: TokenizerSettings) -> String {
    let text = decode(ids, skipSpecialTokens: skipSpecialTokens)
    guard settings.cleansUpSpaces, !(model is BPE) else { return text }
    return String(decoding: DecoderStep.cleanedUp(Array(text.utf8), asTokens: false), as: UTF8.self)
  }
}
