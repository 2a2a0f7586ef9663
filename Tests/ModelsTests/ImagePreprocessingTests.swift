import Files
import JSON
import Models
import PEFTKernel
import Testing

/// Pictures become what transformers' image processors make of them.
@Suite struct ImagePreprocessingTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var name: String
    var picture: String
    var shape: ImageShape
    var config: JSON
    var modelType: String
    /// Whether the picture comes as numbers from 0 to 1.
    var isNumbers: Bool
    var testDescription: String { name }

    func settings(_ scratch: Scratch) throws -> ImagePreprocessing {
      try scratch.put("preprocessor_config.json", config.text())
      return try ImagePreprocessingTests.settings(scratch, modelType)
    }
  }

  private static let folder =
    #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/") + "/Fixtures/images"

  private static let cases: [Case] = {
    let list = (try? TextFile.readJSON(folder + "/cases.json"))?.array ?? []
    return list.map { item in
      let shape = (item["shape"]?.array ?? []).compactMap(\.int)
      return Case(
        name: item["name"]?.string ?? "", picture: item["picture"]?.string ?? "",
        shape: ImageShape(channels: shape[0], height: shape[1], width: shape[2]), config: item["config"] ?? .null,
        modelType: item["model_type"]?.string ?? "", isNumbers: item["numbers"]?.bool ?? false)
    }
  }()

  static func settings(_ scratch: Scratch, _ modelType: String = "vit") throws -> ImagePreprocessing {
    try scratch.put("config.json", "{\"model_type\": \"\(modelType)\"}")
    return try ImagePreprocessing(ModelDirectory(configurationOf: scratch.path))
  }

  private func picture(_ name: String) throws -> Picture {
    let file = try SafetensorsFile(Self.folder + "/pictures.safetensors")
    let extent = try #require(file.entry(name)).shape
    let levels = try file.ints(of: name).map { UInt8($0) }
    return Picture(ImageShape(channels: extent[0], height: extent[1], width: extent[2]), .levels(levels))
  }

  @Test func thereAreCases() { #expect(Self.cases.count > 70) }

  @Test(arguments: cases) func pixelsAreTheLibrarys(_ test: Case) throws {
    let settings = try test.settings(Scratch())
    var picture = try picture(test.picture)
    if test.isNumbers, case .levels(let levels) = picture.values {
      picture = Picture(picture.shape, .numbers(levels.map { Float($0) / 255 }))
    }
    let made = try settings.pixels(of: picture, for: test.shape)
    let wanted = try SafetensorsFile(Self.folder + "/pixels.safetensors").floats(of: test.name)
    // Levels are equal to the last one; what stays is how a division rounds. Torch sums numbers in single precision.
    #expect(largestDifference(made, wanted) <= (test.isNumbers ? 2e-6 : 1e-6 * max(1, wanted.map(abs).max() ?? 1)))
  }

  @Test func absentFieldsAreTheProcessors() throws {
    let scratch = try Scratch()
    #expect(try Self.settings(scratch) == ImagePreprocessing())
    func read(_ text: String, _ modelType: String = "vit") throws -> ImagePreprocessing {
      try scratch.put("preprocessor_config.json", text)
      return try Self.settings(scratch, modelType)
    }
    let vit = try read("{}")
    #expect(vit.resizing == .init(.exact(height: 224, width: 224), .bilinear))
    #expect(vit.crop == nil && vit.rescaling == 1 / 255 && vit.padding == nil)
    #expect(vit.scales == Array(repeating: .init(mean: 0.5, deviation: 0.5), count: 3))
    let clip = try read("{}", "clip")
    #expect(clip.resizing == .init(.shortestEdge(224, longest: nil), .bicubic))
    #expect(clip.crop == .init(height: 224, width: 224))
    #expect(clip.scales.map(\.mean) == [0.48145466, 0.4578275, 0.40821073])
    #expect(try read("{}", "clip_vision_model") == clip)
    #expect(try read("{\"image_processor_type\": \"CLIPImageProcessorFast\", \"size\": null}") == clip)
    #expect(try read("{\"feature_extractor_type\": \"ViTFeatureExtractor\"}", "clip") == vit)
    let known =
      "{\"do_convert_rgb\": true, \"data_format\": \"channels_first\", \"use_square_size\": false, \"processor_class\": \"X\"}"
    #expect(try read(known) == vit)
  }

  @Test func theCombinedFileSpeaksFirst() throws {
    let scratch = try Scratch()
    try scratch.put("preprocessor_config.json", "{\"size\": 7}")
    try scratch.put("processor_config.json", "{\"processor_class\": \"CLIPProcessor\"}")
    #expect(try Self.settings(scratch).resizing?.size == .exact(height: 7, width: 7))
    try scratch.put("processor_config.json", "{\"image_processor\": {\"size\": 9}}")
    #expect(try Self.settings(scratch).resizing?.size == .exact(height: 9, width: 9))
    try scratch.put("processor_config.json", "{\"image_processor\": {\"crop_pct\": 0.9}}")
    #expect(throws: FileError.self) { try Self.settings(scratch) }
  }

  @Test(arguments: [
    ("{\"crop_pct\": 0.9}", "crop_pct: 0.9 is not supported (nothing here does what it asks for)"),
    ("{\"rescale_offset\": true}", "rescale_offset: true is not supported (nothing here does what it asks for)"),
    ("{\"image_processor_type\": \"BeitImageProcessor\"}", "image_processor_type: \"BeitImageProcessor\" is not supported"),
    ("{\"image_processor_type\": 3}", "image_processor_type: 3 is not supported"),
    ("{\"resample\": 6}", "resample: 6 is not supported (supported: 0 nearest, 1 lanczos, 2 bilinear"),
    ("{\"size\": {\"longest_edge\": 9}}", "size: an object is not supported (height and width, shortest_edge,"),
    ("{\"size\": {\"height\": 9, \"width\": 9, \"shortest_edge\": 3}}", "size: an object is not supported"),
    ("{\"size\": {\"height\": 9, \"width\": 0}}", "size.width: 0 does not fit"),
    ("{\"size\": [9]}", "size: [9] does not fit (a list of height and width is wanted)"),
    ("{\"size\": [9, 99999999999]}", "size: [9, 99999999999] does not fit"),
    ("{\"size\": -3}", "size: -3 does not fit"),
    ("{\"size\": \"large\"}", "size: \"large\" does not fit (an object is wanted)"),
    ("{\"do_center_crop\": true}", "crop_size is missing (do_center_crop is true)"),
    ("{\"do_center_crop\": true, \"crop_size\": {\"shortest_edge\": 3}}", "crop_size: an object is not supported"),
    ("{\"do_pad\": true}", "pad_size is missing (do_pad is true)"),
    ("{\"do_resize\": 1}", "do_resize: 1 does not fit (true or false is wanted)"),
    ("{\"image_mean\": [0.5, \"x\", 0.5]}", "image_mean: [0.5, \"x\", 0.5] does not fit"),
    ("{\"image_mean\": []}", "image_mean: [] does not fit"),
    ("{\"image_mean\": [0.5, 0.5]}", "image_std: [0.5, 0.5, 0.5] does not fit (image_mean has 2 numbers)"),
    ("{\"image_std\": [1, 0, 1]}", "image_std: [1.0, 0.0, 1.0] does not fit (it is divided by)"),
    ("{\"image_std\": 1e-60}", "image_std: [1e-60] does not fit (it is divided by)"),
    ("{\"rescale_factor\": \"1/255\"}", "rescale_factor: \"1/255\" does not fit"),
    ("[]", "is no JSON object"),
  ])
  func settingsAreRefusedByName(_ config: String, _ wanted: String) throws {
    let scratch = try Scratch()
    try scratch.put("preprocessor_config.json", config)
    let error = #expect(throws: FileError.self) { try Self.settings(scratch) }
    let told = error?.description ?? ""
    #expect(told.hasPrefix("\(scratch.path)/preprocessor_config.json: \(wanted)"), "\(told)")
  }

  @Test func picturesThatDoNotFitAreRefused() throws {
    let (wide, grey) = (try picture("wide"), try picture("grey"))
    func refusal(_ settings: ImagePreprocessing, _ picture: Picture, _ channels: Int, _ height: Int, _ width: Int) -> String? {
      let shape = ImageShape(channels: channels, height: height, width: width)
      let error = #expect(throws: Refusal.self) { try settings.pixels(of: picture, for: shape) }
      return error?.reason
    }
    var settings = ImagePreprocessing()
    #expect(refusal(settings, wide, 3, 8, 8) == "images of 11 × 17 do not fit: the model reads 8 × 8")
    #expect(refusal(settings, wide, 4, 11, 17) == "an image of 3 channels is none of 4")
    #expect(refusal(settings, grey, 2, 13, 10) == "an image of 1 channels is none of 2")
    settings.scales = [.init(mean: 0, deviation: 1), .init(mean: 0, deviation: 1)]
    #expect(
      refusal(settings, wide, 3, 11, 17) == "image_mean and image_std are for 2 channels, but the model's images have 3")
    settings.scales = []
    settings.crop = .init(height: 1 << 16, width: 1 << 16)
    #expect(refusal(settings, wide, 3, 11, 17) == "images of 65536 × 65536 do not fit: the model reads 11 × 17")
    settings.padding = .init(height: 11, width: 17)
    #expect(refusal(settings, wide, 3, 11, 17) == "images of 65536 × 65536 are larger than pad_size, 11 × 17")
    (settings.crop, settings.padding) = (nil, .init(height: 12, width: 12))
    #expect(refusal(settings, wide, 3, 12, 12) == "images of 11 × 17 are larger than pad_size, 12 × 12")
    // A line that would be brought to a wide side becomes no end of them.
    settings = ImagePreprocessing()
    settings.resizing = .init(.shortestEdge(60000, longest: nil), .bilinear)
    #expect(refusal(settings, wide, 3, 12, 12) == "an image of 11 × 17 would become one of 60000 × 92727")
    settings.resizing = .init(.within(height: 1, width: 1), .bilinear)
    #expect(refusal(settings, wide, 3, 12, 12) == "an image of 11 × 17 would become one of 0 × 1")
  }
}
