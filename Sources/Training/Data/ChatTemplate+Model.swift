import ChatTemplates
import Files
import JSON
import Models
import PEFTKernel
import Registry

extension RunSession {
  /// A model's own chat template, nil where it has none.
  ///
  /// - Parameters:
  ///   - given: a file with another template, in place of the model's own.
  ///   - arguments: variables for it, such as `enable_thinking`.
  public static func chatTemplate(
    of model: any LanguageModel, given: String? = nil, arguments: [JSON.Member] = []
  ) throws(FileError) -> ChatTemplate? {
    let folder = model.directory.path
    func read(_ name: String) throws(FileError) -> JSON? {
      let path = Folder.join(folder, name)
      return Folder.isFile(path) ? try TextFile.readJSON(path, maximumBytes: 1 << 26) : nil
    }
    let own = given ?? Folder.join(folder, "chat_template.jinja")
    let file = given != nil || Folder.isFile(own) ? try TextFile.read(own, maximumBytes: 1 << 20) : nil
    let config = try read("tokenizer_config.json")
    let tokens = try read("special_tokens_map.json")
    do throws(TemplateError) {
      return try ChatTemplate(file: file, config: config, specialTokens: tokens, arguments: arguments)
    } catch {
      throw FileError(
        .badData, file == nil ? Folder.join(folder, "tokenizer_config.json") : own, "the chat template cannot be used",
        cause: error.description, remedy: given != nil ? nil : "say in data.chat_template what stands before and after a turn of each role")
    }
  }

  /// The chat template of a run: the one in its file, else the model's own.
  static func chatTemplate(for file: RunFile, on model: any LanguageModel) throws(FileError) -> ChatTemplate? {
    if let given = file.data.chatTemplate {
      return ChatTemplate(
        TurnTemplate(
          begin: given.begin, defaultSystem: given.defaultSystem,
          turns: given.turns.mapValues { .init(before: $0.before, after: $0.after) }))
    }
    let arguments = file.data.chatTemplateArguments.sorted { $0.key < $1.key }
    return try chatTemplate(of: model, arguments: arguments.map { .init($0.key, JSON($0.value)) })
  }
}

extension JSON {
  fileprivate init(_ value: OptionValue) {
    switch value {
    case .null: self = .null
    case .bool(let value): self = .bool(value)
    case .int(let value): self = .int(value)
    case .double(let value): self = .double(value)
    case .string(let value): self = .string(value)
    case .list(let values): self = .array(values.map { JSON($0) })
    case .map(let values): self = .object(values.sorted { $0.key < $1.key }.map { .init($0.key, JSON($0.value)) })
    }
  }
}
