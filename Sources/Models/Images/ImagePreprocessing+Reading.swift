import Files
import JSON

extension ImagePreprocessing {
  /// What a model's directory says in `preprocessor_config.json`, or under `image_processor` in `processor_config.json`; where it
  /// has neither, that pictures have the model's size and are not normalised.
  ///
  /// Absent fields have the defaults of the processor that is named there, or else of the model's family. Fields that are not
  /// known, and values that are not computed here, are refused by name.
  public init(_ directory: ModelDirectory) throws(FileError) {
    guard let reader = try Self.reader(directory) else {
      self.init()
      return
    }
    try self.init(reader, try ImageProcessor(reader, modelType: directory.config["model_type"]?.string))
  }

  private static func reader(_ directory: ModelDirectory) throws(FileError) -> ConfigReader? {
    // The newer file wins where it speaks of images.
    let combined = Folder.join(directory.path, "processor_config.json")
    if Folder.exists(combined) {
      let reader = ConfigReader(combined, try TextFile.readJSON(combined, maximumBytes: 1 << 24))
      if reader.value(["image_processor"]) != nil { return try ConfigReader(reader, in: "image_processor") }
    }
    let path = Folder.join(directory.path, "preprocessor_config.json")
    guard Folder.exists(path) else { return nil }
    let config = try TextFile.readJSON(path, maximumBytes: 1 << 24)
    guard config.members != nil else { throw FileError(.badData, path, "is no JSON object") }
    return ConfigReader(path, config)
  }

  private init(_ reader: ConfigReader, _ defaults: ImageProcessor) throws(FileError) {
    self.init()
    try Self.refuseUnknown(reader)
    if try reader.bool("do_resize", default: true) {
      resizing = Resizing(try reader.size(defaults), try reader.filter(default: defaults.filter))
    }
    if try reader.bool("do_center_crop", default: defaults.crop != nil) {
      crop = try reader.extent("crop_size") ?? defaults.crop
      guard crop != nil else { throw reader.missing("crop_size", "do_center_crop is true") }
    }
    rescaling = nil
    if try reader.bool("do_rescale", default: true) {
      rescaling = try reader.double("rescale_factor", default: 1 / 255, in: -1e6..<1e6)
    }
    if try reader.bool("do_normalize", default: true) {
      scales = try reader.scales(defaults)
    }
    if try reader.bool("do_pad", default: false) {
      padding = try reader.extent("pad_size")
      guard padding != nil else { throw reader.missing("pad_size", "do_pad is true") }
    }
  }

  /// Read above.
  private static let fields: Set = [
    "do_resize", "size", "default_to_square", "resample", "do_center_crop", "crop_size", "do_rescale", "rescale_factor",
    "do_normalize", "image_mean", "image_std", "do_pad", "pad_size", "image_processor_type", "feature_extractor_type",
  ]
  /// Without a say in what the pixels become here: pictures come as files, are told apart as grey and colour by these, and leave as
  /// the model's channels, rows and columns.
  private static let silent: Set = [
    "do_convert_rgb", "data_format", "input_data_format", "device", "return_tensors", "disable_grouping", "image_seq_length",
    "processor_class", "_processor_class", "_valid_processor_keys", "auto_map", "use_fast", "backend", "transformers_version",
    "_name_or_path",
  ]

  /// Fields of other processors, which do more; those that say no are no matter.
  private static func refuseUnknown(_ reader: ConfigReader) throws(FileError) {
    for member in reader.config.members ?? [] where !fields.contains(member.key) && !silent.contains(member.key) {
      guard member.value.isNull || member.value == false else {
        throw reader.unsupported(printable(member.key), member.value, "nothing here does what it asks for")
      }
    }
  }
}

/// What transformers' classes of image processors have for absent fields.
private struct ImageProcessor {
  var size: ImagePreprocessing.Size
  var filter: ImageFilter
  var means: [Double]
  var deviations: [Double]
  var crop: ImagePreprocessing.Extent?
  /// Whether a size of one number is that of a square, and not of the shorter side.
  var isSquare = true

  private static let half = [0.5, 0.5, 0.5]
  private static let clipMeans = [0.48145466, 0.4578275, 0.40821073]
  private static let clipDeviations = [0.26862954, 0.26130258, 0.27577711]
  private static let middle = ImagePreprocessing.Extent(height: 224, width: 224)

  /// By class, without the endings of its variants.
  private static let classes: KeyValuePairs<String, ImageProcessor> = [
    "BitImageProcessor": clip,
    "CLIPImageProcessor": clip,
    "DeiTImageProcessor": .init(
      size: .exact(height: 256, width: 256), filter: .bicubic, means: half, deviations: half, crop: middle),
    "SiglipImageProcessor": .init(
      size: .exact(height: 224, width: 224), filter: .bicubic, means: half, deviations: half, isSquare: false),
    "ViTImageProcessor": vit,
  ]
  private static let vit = ImageProcessor(
    size: .exact(height: 224, width: 224), filter: .bilinear, means: half, deviations: half)
  private static let clip = ImageProcessor(
    size: .shortestEdge(224, longest: nil), filter: .bicubic, means: clipMeans, deviations: clipDeviations, crop: middle,
    isSquare: false)

  init(
    size: ImagePreprocessing.Size, filter: ImageFilter, means: [Double], deviations: [Double],
    crop: ImagePreprocessing.Extent? = nil, isSquare: Bool = true
  ) {
    self.size = size
    self.filter = filter
    self.means = means
    self.deviations = deviations
    self.crop = crop
    self.isSquare = isSquare
  }

  init(_ reader: ConfigReader, modelType: String?) throws(FileError) {
    guard let (field, value) = reader.value(["image_processor_type", "feature_extractor_type"]) else {
      self = modelType?.hasPrefix("clip") == true ? Self.clip : Self.vit
      return
    }
    var name = value.string ?? ""
    for ending in ["Fast", "Pil"] where name.hasSuffix(ending) { name.removeLast(ending.count) }
    if field == "feature_extractor_type", name.hasSuffix("FeatureExtractor") {
      name.removeLast("FeatureExtractor".count)
      name += "ImageProcessor"
    }
    guard let found = Self.classes.first(where: { $0.key == name }) else {
      throw reader.unsupported(field, value, "supported: \(Self.classes.map(\.key).joined(separator: ", "))")
    }
    self = found.value
  }
}

extension ConfigReader {
  private static var sides: ClosedRange<Int> { 1...1 << 16 }

  /// A filter by its number.
  fileprivate func filter(default fallback: ImageFilter) throws(FileError) -> ImageFilter {
    guard let (name, value) = value(["resample"]) else { return fallback }
    guard let filter = value.int.flatMap(ImageFilter.init(rawValue:)) else {
      let known = ImageFilter.allCases.map { "\($0.rawValue) \($0)" }.joined(separator: ", ")
      throw unsupported(name, value, "supported: \(known)")
    }
    return filter
  }

  fileprivate func size(_ defaults: ImageProcessor) throws(FileError) -> ImagePreprocessing.Size {
    guard let (name, value) = value(["size"]) else { return defaults.size }
    let isSquare = try bool("default_to_square", default: defaults.isSquare)
    if value.int != nil {
      let side = try int(name, default: 0, in: Self.sides)
      return isSquare ? .exact(height: side, width: side) : .shortestEdge(side, longest: nil)
    }
    if let extent = try list(name, value) { return .exact(height: extent.height, width: extent.width) }
    let reader = try ConfigReader(self, in: name)
    func side(_ field: String) throws(FileError) -> Int { try reader.int(field, default: 0, in: Self.sides) }
    switch Set((value.members ?? []).filter { !$0.value.isNull }.map(\.key)) {
    case ["height", "width"]: return .exact(height: try side("height"), width: try side("width"))
    case ["shortest_edge"]: return .shortestEdge(try side("shortest_edge"), longest: nil)
    case ["shortest_edge", "longest_edge"]:
      return .shortestEdge(try side("shortest_edge"), longest: try side("longest_edge"))
    case ["max_height", "max_width"]: return .within(height: try side("max_height"), width: try side("max_width"))
    default:
      throw unsupported(
        name, value, "height and width, shortest_edge, shortest_edge and longest_edge, or max_height and max_width are")
    }
  }

  /// Height and width by name, as a list, or as one number for both; nil where the field is absent.
  fileprivate func extent(_ name: String) throws(FileError) -> ImagePreprocessing.Extent? {
    guard let (_, value) = value([name]) else { return nil }
    if value.int != nil {
      let side = try int(name, default: 0, in: Self.sides)
      return .init(height: side, width: side)
    }
    if let extent = try list(name, value) { return extent }
    let reader = try ConfigReader(self, in: name)
    guard Set((value.members ?? []).filter { !$0.value.isNull }.map(\.key)) == ["height", "width"] else {
      throw unsupported(name, value, "height and width are")
    }
    return .init(
      height: try reader.int("height", default: 0, in: Self.sides), width: try reader.int("width", default: 0, in: Self.sides))
  }

  private func list(_ name: String, _ value: JSON) throws(FileError) -> ImagePreprocessing.Extent? {
    guard let list = value.array else { return nil }
    let sides = list.compactMap(\.int).filter(Self.sides.contains)
    guard sides.count == 2, list.count == 2 else { throw unfit(name, value, "a list of height and width is wanted") }
    return .init(height: sides[0], width: sides[1])
  }

  /// A mean and a deviation for every channel, or one of them for all.
  fileprivate func scales(_ defaults: ImageProcessor) throws(FileError) -> [ImagePreprocessing.Scale] {
    let means = try numbers("image_mean", default: defaults.means)
    let deviations = try numbers("image_std", default: defaults.deviations)
    let all = JSON.array(deviations.map { .double($0) })
    guard means.count == deviations.count || means.count == 1 || deviations.count == 1 else {
      throw unfit("image_std", all, "image_mean has \(means.count) numbers")
    }
    guard !deviations.contains(where: { Float($0) == 0 }) else { throw unfit("image_std", all, "it is divided by") }
    return (0..<max(means.count, deviations.count)).map { channel in
      .init(mean: means[means.count == 1 ? 0 : channel], deviation: deviations[deviations.count == 1 ? 0 : channel])
    }
  }

  /// A number, or a list of some.
  private func numbers(_ name: String, default fallback: [Double]) throws(FileError) -> [Double] {
    guard let (_, value) = value([name]) else { return fallback }
    let list = value.array ?? [value]
    let numbers = list.compactMap(\.double).filter { Float($0).isFinite }
    guard !numbers.isEmpty, numbers.count == list.count else { throw unfit(name, value, "a number is wanted, or a list of some") }
    return numbers
  }
}
