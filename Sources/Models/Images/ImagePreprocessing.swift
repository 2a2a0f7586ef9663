import PEFTKernel

/// What becomes of a picture before a model sees it: as transformers' image processors do it (those on Pillow), by the same
/// settings.
public struct ImagePreprocessing: Sendable, Hashable {
  /// The size that pictures are brought to, given theirs.
  public enum Size: Sendable, Hashable {
    case exact(height: Int, width: Int)
    /// The shorter side so long, the other by the picture's proportions; not longer than `longest`, where that is given.
    case shortestEdge(Int, longest: Int?)
    /// The largest of the picture's proportions that fits.
    case within(height: Int, width: Int)
  }

  public struct Resizing: Sendable, Hashable {
    public var size: Size
    public var filter: ImageFilter

    public init(_ size: Size, _ filter: ImageFilter) {
      self.size = size
      self.filter = filter
    }
  }

  public struct Extent: Sendable, Hashable {
    public let height: Int
    public let width: Int

    public init(height: Int, width: Int) {
      precondition(height > 0 && width > 0, "no extent: \(height) × \(width)")
      self.height = height
      self.width = width
    }
  }

  /// What is taken away from a channel, and what it is then divided by.
  public struct Scale: Sendable, Hashable {
    public var mean: Double
    public var deviation: Double

    public init(mean: Double, deviation: Double) {
      self.mean = mean
      self.deviation = deviation
    }
  }

  /// Nil where pictures must have the model's size.
  public var resizing: Resizing?
  /// The middle that is kept.
  public var crop: Extent?
  /// What levels are multiplied by; nil for levels as they are. Numbers from 0 to 1 count as levels that have been divided by 255.
  public var rescaling: Double? = 1 / 255
  /// For every channel, or one for all; none for no normalisation.
  public var scales: [Scale] = []
  /// Zeros are put at the right and the lower end up to this.
  public var padding: Extent?

  /// Neither another size nor normalisation: levels become numbers from 0 to 1.
  public init() {}

  /// Pixels that a picture may have on the way.
  private static let maximumPixels = 1 << 25
}

extension ImagePreprocessing {
  /// The numbers that a model of such images reads, [channels, height, width]. Refuses a picture that does not come to its shape.
  public func pixels(of picture: Picture, for shape: ImageShape) throws(Refusal) -> [Float] {
    try check(shape)
    var picture = try picture.inChannels(shape.channels)
    if let resizing {
      let size = resizing.size.sides(of: picture.shape)
      // The width changes first.
      guard size.height > 0, size.width > 0, max(size.height, picture.shape.height) <= Self.maximumPixels / size.width else {
        throw Refusal(
          "an image of \(picture.shape.sides) would become one of \(size.height) × \(size.width)",
          remedy: "take it out of the data")
      }
      picture = picture.resized(height: size.height, width: size.width, resizing.filter)
    }
    if let crop { picture = picture.centered(height: crop.height, width: crop.width) }
    var made = Made(shape: picture.shape, numbers: normalized(picture))
    if let padding { try made.pad(to: padding) }
    guard made.shape == shape else { throw misfit(made.shape.sides, shape) }
    return made.numbers
  }

  /// What can be told before any picture, and keeps large numbers of a stranger's from being allotted.
  private func check(_ shape: ImageShape) throws(Refusal) {
    guard [0, 1, shape.channels].contains(scales.count) else {
      throw Refusal(
        "image_mean and image_std are for \(scales.count) channels, but the model's images have \(shape.channels)",
        remedy: "give one number for each channel, or one for all, in preprocessor_config.json")
    }
    var last = padding ?? crop
    if last == nil, case .exact(let height, let width)? = resizing?.size { last = .init(height: height, width: width) }
    if let last, last.height != shape.height || last.width != shape.width {
      throw misfit("\(last.height) × \(last.width)", shape)
    }
    if let crop, let padding { try Made.check(crop.height, crop.width, within: padding) }
  }

  private func misfit(_ sides: String, _ shape: ImageShape) -> Refusal {
    Refusal(
      "images of \(sides) do not fit: the model reads \(shape.sides)",
      remedy: resizing == nil && crop == nil && padding == nil
        ? "bring them to that size, or give the model's directory a preprocessor_config.json with a `size`"
        : "preprocessor_config.json must bring them to that size")
  }

  /// In single precision, each step rounded to it, as there.
  private func normalized(_ picture: Picture) -> [Float] {
    let plane = picture.shape.height * picture.shape.width
    switch picture.values {
    case .levels(let levels):
      var numbers: [Float] = []
      numbers.reserveCapacity(levels.count)
      for channel in 0..<picture.shape.channels {
        let table = (0...255).map { level in
          normalized(rescaling.map { Float(Double(level) * $0) } ?? Float(level), channel)
        }
        for place in channel * plane..<(channel + 1) * plane { numbers.append(table[Int(levels[place])]) }
      }
      return numbers
    case .numbers(let numbers):
      // 1 for the usual 1/255, whatever its last digits are.
      var factor = (rescaling ?? 1 / 255) * 255
      if abs(factor - 1) < 1e-6 { factor = 1 }
      return numbers.indices.map { normalized(Float(Double(numbers[$0]) * factor), $0 / plane) }
    }
  }

  private func normalized(_ number: Float, _ channel: Int) -> Float {
    guard !scales.isEmpty else { return number }
    let scale = scales[scales.count == 1 ? 0 : channel]
    return (number - Float(scale.mean)) / Float(scale.deviation)
  }
}

extension ImageShape {
  /// Height and width, for messages.
  var sides: String { "\(height) × \(width)" }
}

/// A picture that has become numbers.
private struct Made {
  var shape: ImageShape
  var numbers: [Float]

  mutating func pad(to extent: ImagePreprocessing.Extent) throws(Refusal) {
    try Self.check(shape.height, shape.width, within: extent)
    let padded = ImageShape(channels: shape.channels, height: extent.height, width: extent.width)
    var out = [Float](repeating: 0, count: padded.count)
    for row in 0..<shape.channels * shape.height {
      let (channel, line) = (row / shape.height, row % shape.height)
      let start = (channel * padded.height + line) * padded.width
      out.replaceSubrange(start..<start + shape.width, with: numbers[row * shape.width..<(row + 1) * shape.width])
    }
    (shape, numbers) = (padded, out)
  }

  static func check(_ height: Int, _ width: Int, within extent: ImagePreprocessing.Extent) throws(Refusal) {
    guard extent.height < height || extent.width < width else { return }
    throw Refusal(
      "images of \(height) × \(width) are larger than pad_size, \(extent.height) × \(extent.width)",
      remedy: "raise pad_size in preprocessor_config.json, or give smaller images")
  }
}

extension ImagePreprocessing.Size {
  /// Height and width for a picture of this shape, in the library's own steps: which way it rounds decides on a row of pixels.
  func sides(of shape: ImageShape) -> (height: Int, width: Int) {
    let (height, width) = (shape.height, shape.width)
    switch self {
    case .exact(let height, let width): return (height, width)
    case .within(let highest, let widest):
      let scale = min(Double(highest) / Double(height), Double(widest) / Double(width))
      return (Int(Double(height) * scale), Int(Double(width) * scale))
    case .shortestEdge(let edge, nil):
      let long = Int(Double(edge * max(height, width)) / Double(min(height, width)))
      return width <= height ? (long, edge) : (edge, long)
    case .shortestEdge(let asked, let longest?):
      var (edge, raw) = (asked, Double(asked))
      let (low, high) = (Double(min(height, width)), Double(max(height, width)))
      if high / low * Double(asked) > Double(longest) {
        raw = Double(longest) * low / high
        edge = Int(raw.rounded(.toNearestOrEven))
      }
      if min(height, width) == edge { return (height, width) }
      return width < height
        ? (Int(raw * Double(height) / Double(width)), edge)
        : (edge, Int(raw * Double(width) / Double(height)))
    }
  }
}
