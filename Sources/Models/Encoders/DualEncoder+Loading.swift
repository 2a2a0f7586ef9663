import Engine
import Files
import JSON
import PEFTKernel

extension DualEncoder {
  /// CLIP. Absent fields have the defaults of `CLIPConfig`.
  init(
    _ reader: ConfigReader, _ directory: ModelDirectory, _ choice: HeadChoice, freshFrom seed: UInt64?
  ) throws(FileError) {
    let family = EncoderFamily.clip
    _ = try family.architecture(reader)
    if case .classes = choice {
      throw FileError(
        .badData, reader.file, "model_type: a clip model has no classifier here", remedy: "compare images with the labels' texts")
    }
    let textConfig = try EncoderConfig.clipText(try Self.part("text_config", of: reader))
    let visionConfig = try EncoderConfig.clipVision(try Self.part("vision_config", of: reader))
    guard case .text(let text) = textConfig.input, case .image(let image) = visionConfig.input else {
      preconditionFailure("a text encoder reads text, an image encoder images")
    }
    let width = try reader.int("projection_dim", default: 512)
    let factor = try reader.double("initializer_factor", default: 1, in: 0..<1000)
    func projection(_ path: String, _ config: EncoderConfig) -> PlannedMap {
      PlannedMap(
        site: Site(id: SiteID(path), use: "projection", outputs: width, inputs: config.hiddenSize), weight: path + ".weight")
    }
    let plans = (text: EncoderPlan(textConfig, .besideAnother), vision: EncoderPlan(visionConfig, .besideAnother))
    let textProjection = projection("text_projection", textConfig)
    let visualProjection = projection("visual_projection", visionConfig)
    let start = try reader.double("logit_scale_init_value", default: 2.6592, in: -100..<100)
    let others = [(visualProjection, visionConfig), (textProjection, textConfig)].map { map, config in
      PlannedTensor(
        name: map.weight, shape: [width, config.hiddenSize], kind: .matrix,
        deviation: factor / Double(config.hiddenSize).squareRoot())
    }
    let scale = PlannedTensor(name: "logit_scale", shape: [], kind: .number(start))
    let maps = plans.text.maps + plans.vision.maps + [visualProjection, textProjection]
    let plan = WeightPlan(
      modelType: family.rawValue, tensors: plans.text.tensors + plans.vision.tensors + others + [scale],
      codable: maps.map(\.weight), numbered: plans.text.positions, deviation: 0.02,
      quantization: try QuantizationConfig(directory),
      prefix: "", unprefixed: [], spellings: plans.text.spellings.merging(plans.vision.spellings) { first, _ in first },
      strays: [".position_ids"])
    let weights =
      if let seed { try BaseWeights(plan, seed: seed, file: reader.file) } else { try BaseWeights(plan, from: directory) }
    body = ModelBody(
      directory, plan, weights, maps: maps, tables: plans.text.tables + plans.vision.tables, isFresh: seed != nil,
      configuration: reader.config)
    self.text = (Encoder(textConfig, plans.text, weights), text, SiteMap(textProjection, weights))
    vision = (Encoder(visionConfig, plans.vision, weights), image, SiteMap(visualProjection, weights))
    self.scale = (scale.name, weights.vector(scale.name))
  }

  /// The config of one encoder. What older files have under `<name>_dict` stands for it.
  private static func part(_ name: String, of reader: ConfigReader) throws(FileError) -> ConfigReader {
    let older = name + "_dict"
    if reader.value([older]) != nil { return try ConfigReader(reader, in: older) }
    return try ConfigReader(reader, in: name)
  }
}
