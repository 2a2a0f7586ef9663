import JSON

extension Tokenizer {
  /// Reads a `tokenizer.json`.
  ///
  /// What the document says of `truncation` and `padding` tells how whoever saved it made batches: it is read, and kept
  /// for who asks for it, but the ids that `encode` gives do not depend on it.
  ///
  /// - Parameter settings: What stands beside it in `tokenizer_config.json`; the special tokens named there are then
  ///   found in texts, too, and left out by `decode`, where the vocabulary has them.
  /// - Throws: for a component this room does not know, or a document that contradicts itself, naming the place.
  public init(json: JSON, settings: TokenizerSettings? = nil) throws(TokenizerError) {
    let document = Field(path: "", value: json)
    _ = try document.members()
    let version = document["version"]
    if !version.isNull, version.value != "1.0" { throw version.refusal("\(version.value.text()) is not supported") }

    normalizers = try Normalizers.read(document["normalizer"])
    model = try Models.read(document["model"])
    added = try AddedTokens(document["added_tokens"], model, normalizers)
    preTokenizers = try PreTokenizers.read(document["pre_tokenizer"])
    postProcessors = try PostProcessors.read(document["post_processor"], added.vocabulary)
    decoder = try Decoders.read(document["decoder"])
    truncation = document["truncation"].isNull ? nil : try Truncation(document["truncation"])
    padding = document["padding"].isNull ? nil : try Padding(document["padding"])
    for token in settings?.specialTokens ?? [] { added.addSpecial(token) }
  }

  /// Reads the bytes of a `tokenizer.json`.
  public init(parsing bytes: some Collection<UInt8>, settings: TokenizerSettings? = nil) throws(TokenizerError) {
    let json: JSON
    do {
      json = try JSON(parsing: bytes)
    } catch {
      throw TokenizerError(path: "", message: error.description)
    }
    try self.init(json: json, settings: settings)
  }
}
