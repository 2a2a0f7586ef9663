import JSON

extension ChatTemplate {
  /// The template of a model directory, nil where it has none.
  ///
  /// - Parameters:
  ///   - file: the text of `chat_template.jinja`, which comes before the one in the config.
  ///   - config: the content of `tokenizer_config.json`.
  ///   - specialTokens: the content of `special_tokens_map.json`, for tokens that the config does not name.
  ///   - arguments: further variables, which come before the tokens of their name.
  public init?(
    file: String?, config: JSON?, specialTokens: JSON? = nil, arguments: [JSON.Member] = []
  ) throws(TemplateError) {
    guard let (plain, forTools) = try Self.source(file, config?["chat_template"]) else { return nil }
    let tokens = Self.tokens(specialTokens) + Self.tokens(config)
    try self.init(jinja: plain, forTools: forTools, variables: tokens + arguments)
  }

  /// The text of the template, and of the one for tools where there are several.
  private static func source(_ file: String?, _ stored: JSON?) throws(TemplateError) -> (String, String?)? {
    if let file { return (file, nil) }
    switch stored {
    case nil, .null?: return nil
    case .string(let text)?: return (text, nil)
    case .array(let several)?:
      func named(_ name: String) -> String? { several.first { $0["name"]?.string == name }?["template"]?.string }
      guard let plain = named("default") else {
        let names = several.compactMap { $0["name"]?.string }.joined(separator: ", ")
        throw TemplateError(.template, "chat_template lists \(names.isEmpty ? "no templates" : names), but none named default")
      }
      return (plain, named("tool_use"))
    default: throw TemplateError(.template, "chat_template is neither a text nor a list of named ones")
    }
  }

  /// `bos_token` and its like: texts, or objects that hold one.
  private static func tokens(_ config: JSON?) -> [JSON.Member] {
    func text(_ value: JSON) -> JSON? { (value.string ?? value["content"]?.string).map { .string($0) } }
    let own = (config?["extra_special_tokens"] ?? config?["model_specific_special_tokens"])?.members ?? []
    let named = (config?.members ?? []).filter { $0.key.hasSuffix("_token") } + own
    return named.compactMap { member in text(member.value).map { .init(member.key, $0) } }
  }
}
