import Files
import JSON
import Models
import Tokenization

extension RunSession {
  /// The model's own tokenizer with the special tokens that its settings name, checked against its vocabulary.
  public static func tokenizer(of model: any TextModel) throws -> Tokenizer {
    let path = Folder.join(model.directory.path, "tokenizer.json")
    guard Folder.isFile(path) else {
      throw FileError(
        .missing, path, "is missing: text cannot be turned into tokens",
        remedy: "copy the tokenizer.json that belongs to the model")
    }
    let json = try TextFile.readJSON(path)
    let settings = try settings(of: model)
    let tokenizer: Tokenizer
    do throws(TokenizerError) {
      tokenizer = try Tokenizer(json: json, settings: settings)
    } catch {
      throw FileError(.badData, path, "cannot be used: \(error)")
    }
    guard tokenizer.vocabularySize <= model.vocabularySize else {
      throw FileError(
        .badData, path,
        "knows \(tokenizer.vocabularySize) tokens, but the model's table has \(model.vocabularySize) rows",
        remedy: "use the tokenizer.json that belongs to the model")
    }
    return tokenizer
  }

  /// What stands beside the tokenizer; nil where nothing does.
  private static func settings(of model: any TextModel) throws(FileError) -> TokenizerSettings? {
    let paths = ["tokenizer_config.json", "special_tokens_map.json"].map { Folder.join(model.directory.path, $0) }
    func json(_ path: String) throws(FileError) -> JSON? {
      guard Folder.isFile(path) else { return Optional<JSON>.none }
      return try TextFile.readJSON(path)
    }
    let (config, map) = (try json(paths[0]), try json(paths[1]))
    guard config != nil || map != nil else { return nil }
    do throws(TokenizerError) { return try TokenizerSettings(config: config, specialTokensMap: map) } catch {
      throw FileError(.badData, paths[error.path.hasPrefix("special_tokens_map") ? 1 : 0], "cannot be used: \(error)")
    }
  }

  /// The id that ends a text that is learned: of the tokenizer's `eos_token`, as the field's trainers take it, or else
  /// `config.json`'s `eos_token_id` (the first, where there are several).
  public static func endOfText(of model: any TextModel, _ tokenizer: Tokenizer) throws(FileError) -> Int? {
    if let token = try settings(of: model)?.endToken, let id = tokenizer.id(of: token) { return id }
    let value = model.directory.config["eos_token_id"]
    guard let id = value?.int ?? value?.array?.first?.int, id >= 0, id < tokenizer.vocabularySize else { return nil }
    return id
  }

  /// The ids at which a generated text ends: those that the model's files name, and the one that training puts behind texts.
  public static func stopIDs(of model: any LanguageModel, _ tokenizer: Tokenizer) throws(FileError) -> Set<Int32> {
    let learned = try endOfText(of: model, tokenizer).map { Int32($0) }
    return model.endOfTextIDs.union([learned].compactMap { $0 })
  }
}
