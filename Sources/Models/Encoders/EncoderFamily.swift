import Files
import JSON

/// The families of encoders, by what config.json calls them.
enum EncoderFamily: String, Sendable, CaseIterable {
  case bert
  case roberta
  case vit
  case clip
  case clipText = "clip_text_model"
  case clipVision = "clip_vision_model"

  /// A head that tells classes apart, as the family has it.
  struct Head: Sendable {
    var architecture: String
    var source: HeadPlan.Source
    var dense: String?
    var output: String
  }

  /// The family of a directory; nil where it is none of these.
  init?(_ directory: ModelDirectory) {
    guard let name = directory.config["model_type"]?.string else { return nil }
    self.init(rawValue: name)
  }

  var head: Head? {
    switch self {
    case .bert: Head(architecture: "BertForSequenceClassification", source: .pooled, dense: nil, output: "classifier")
    case .roberta:
      Head(
        architecture: "RobertaForSequenceClassification", source: .firstRow, dense: "classifier.dense",
        output: "classifier.out_proj")
    case .vit: Head(architecture: "ViTForImageClassification", source: .firstRow, dense: nil, output: "classifier")
    case .clip, .clipText, .clipVision: nil
    }
  }

  /// What the libraries call the model without a head.
  var bareArchitecture: String {
    switch self {
    case .bert: "BertModel"
    case .roberta: "RobertaModel"
    case .vit: "ViTModel"
    case .clip: "CLIPModel"
    case .clipText: "CLIPTextModel"
    case .clipVision: "CLIPVisionModel"
    }
  }

  /// Models whose heads were for pretraining alone: the encoder is of use without.
  var pretrainingArchitectures: [String] {
    switch self {
    case .bert: ["BertForMaskedLM", "BertForPreTraining", "BertForNextSentencePrediction"]
    case .roberta: ["RobertaForMaskedLM"]
    case .vit: ["ViTForMaskedImageModeling"]
    case .clip, .clipText, .clipVision: []
    }
  }

  /// Beginnings of names of their heads' tensors.
  var pretrainingTensors: [String] {
    switch self {
    case .bert: ["cls."]
    case .roberta: ["lm_head."]
    case .vit: ["decoder.", "vit.embeddings.mask_token"]
    case .clip, .clipText, .clipVision: []
    }
  }

  /// The model's class as config.json has it; refuses one whose head is not computed here, as it would be lost in silence.
  func architecture(_ reader: ConfigReader) throws(FileError) -> String? {
    guard let (name, value) = reader.value(["architectures"]) else { return nil }
    guard let list = value.array else { throw reader.unfit(name, value, "a list is wanted") }
    let supported = [bareArchitecture] + (head.map { [$0.architecture] } ?? []) + pretrainingArchitectures
    for item in list where !supported.contains(item.string ?? "") {
      throw reader.unsupported(name, item, "supported: \(supported.joined(separator: ", "))")
    }
    return list.first?.string
  }

  /// The model in a directory, or a fresh one of its config where there is a seed.
  func model(_ directory: ModelDirectory, _ choice: HeadChoice, freshFrom seed: UInt64?) throws(FileError) -> any Model {
    let reader = ConfigReader(directory)
    _ = try DecoderConfig.type(reader)
    let config: EncoderConfig
    switch self {
    case .bert: config = try .bert(reader)
    case .roberta: config = try .roberta(reader)
    case .vit: config = try .vit(reader)
    case .clip: return try DualEncoder(reader, directory, choice, freshFrom: seed)
    case .clipText: config = try .clipText(reader)
    case .clipVision: config = try .clipVision(reader)
    }
    return try SingleEncoder.model(self, config, reader, directory, choice, freshFrom: seed)
  }
}
