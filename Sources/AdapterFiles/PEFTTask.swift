import JSON
import Models

/// What PEFT calls the uses of a model, in `task_type`.
enum PEFTTask {
  /// The word for all that a model can be used for; null where PEFT has none, as for images.
  ///
  /// `savesHead`: whether the adapter brings the head along. PEFT looks for it in the files of a classifier's adapter.
  static func word(for model: any Model, savesHead: Bool = true) -> JSON {
    if model is any LanguageModel { return "CAUSAL_LM" }
    // PEFT's wrapper of feature extractors hands CLIP's text model its inputs twice.
    guard model is any TextEncoder, !(model is any ImageEncoder), !model.modelType.hasPrefix("clip") else { return .null }
    guard model.classes != nil else { return "FEATURE_EXTRACTION" }
    return savesHead ? "SEQ_CLS" : .null
  }

  /// The model for messages.
  static func text(for model: any Model) -> String {
    if model is any LanguageModel { return "a causal language model" }
    return model.classes == nil ? "an encoder" : "a classifier"
  }

  /// Where PEFT finds the model's class, which it writes where there is no word for the task; null where config.json names none.
  static func mapping(for model: any Model) -> JSON {
    guard let architecture = model.configuration["architectures"]?.array?.first?.string else { return .null }
    // The classes of a family's parts stand in one file.
    let family = model.modelType.prefix { $0 != "_" }
    return [
      "base_model_class": .string(architecture), "parent_library": .string("transformers.models.\(family).modeling_\(family)"),
    ]
  }
}
