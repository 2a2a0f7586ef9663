import JSON

extension Tokenizer {
  /// Reads a `tokenizer.json`.
  ///
  /// `truncation` and `padding` are left aside: they say how whoever saved the file made its batches, and the ids of
  /// a text should not depend on that.
  ///
  /// - Throws: for a component this room does not know, or a document that contradicts itself, naming the place.
  public init(json: JSON) throws(TokenizerError) {
    let document = Field(path: "", value: json)
    _ = try document.members()
    let version = document["version"]
    if !version.isNull, version.value != "1.0" { throw version.refusal("\(version.value.text()) is not supported") }

    let normalizers = try Normalizers.read(document["normalizer"])
    let model = try Models.read(document["model"])
    var vocabulary = model.vocabulary
    var addedTokens: [AddedToken] = []
    var normalForms: [Int: [UInt8]] = [:]
    var verbatimTokens = AddedTokenMatcher()
    var normalizedTokens = AddedTokenMatcher()
    for field in document["added_tokens"].isNull ? [] : try document["added_tokens"].items() {
      let token = try AddedToken(field)
      var content = Array(token.content.utf8)
      if let id = vocabulary.id(of: content), id != token.id {
        throw field["id"].refusal("\(quoted(token.content)) already has the id \(id)")
      }
      if let holder = vocabulary.add(content, id: UInt32(token.id)) {
        throw field["id"].refusal("\(token.id) already belongs to \(quoted(String(decoding: holder, as: UTF8.self)))")
      }
      addedTokens.append(token)
      if token.isNormalized {
        for normalizer in normalizers { normalizer.normalize(&content) }
        if !normalizers.isEmpty { normalForms[token.id] = content }
        normalizedTokens.insert(content, token)
      } else {
        verbatimTokens.insert(content, token)
      }
    }

    self.init(
      normalizers: normalizers, preTokenizers: try PreTokenizers.read(document["pre_tokenizer"]), model: model,
      postProcessors: try PostProcessors.read(document["post_processor"], vocabulary), decoder: try Decoder(document["decoder"]),
      vocabulary: vocabulary, addedTokens: addedTokens, specialIDs: Set(addedTokens.filter(\.isSpecial).map(\.id)),
      normalForms: normalForms,
      verbatimTokens: verbatimTokens, normalizedTokens: normalizedTokens)
  }

  /// Reads the bytes of a `tokenizer.json`.
  public init(parsing bytes: some Collection<UInt8>) throws(TokenizerError) {
    let json: JSON
    do {
      json = try JSON(parsing: bytes)
    } catch {
      throw TokenizerError(path: "", message: error.description)
    }
    try self.init(json: json)
  }
}
