import PEFTKernel

/// An image as it was read, before it is made ready for a model.
public struct Picture: Sendable, Hashable {
  public enum Values: Sendable, Hashable {
    /// From 0 to 255.
    case levels([UInt8])
    /// From 0 to 1.
    case numbers([Float])
  }

  public private(set) var shape: ImageShape
  /// [channels, height, width].
  public private(set) var values: Values

  public init(_ shape: ImageShape, _ values: Values) {
    switch values {
    case .levels(let levels): precondition(levels.count == shape.count, "\(levels.count) levels for \(shape)")
    case .numbers(let numbers): precondition(numbers.count == shape.count, "\(numbers.count) numbers for \(shape)")
    }
    self.shape = shape
    self.values = values
  }
}

extension ImageShape {
  /// Numbers in an image.
  public var count: Int { channels * height * width }
}

extension Picture {
  /// The picture in another number of channels: grey repeated, or the luma of red, green and blue (ITU-R 601-2, in Pillow's
  /// arithmetic). Refuses every other change.
  public func inChannels(_ channels: Int) throws(Refusal) -> Picture {
    switch (shape.channels, channels) {
    case (channels, _): return self
    case (1, 3): return grey(repeated: channels)
    case (3, 1): return luma
    default:
      throw Refusal(
        "an image of \(shape.channels) channels is none of \(channels)",
        remedy: "give images of \(channels) channels; only grey and colour become each other")
    }
  }

  private func grey(repeated times: Int) -> Picture {
    let shape = ImageShape(channels: times, height: shape.height, width: shape.width)
    return switch values {
    case .levels(let levels): Picture(shape, .levels((0..<times).flatMap { _ in levels }))
    case .numbers(let numbers): Picture(shape, .numbers((0..<times).flatMap { _ in numbers }))
    }
  }

  private var luma: Picture {
    let plane = shape.height * shape.width
    let shape = ImageShape(channels: 1, height: shape.height, width: shape.width)
    switch values {
    case .levels(let levels):
      // 0.299, 0.587, 0.114 in 65536ths.
      let grey = (0..<plane).map { place in
        let sum = 19595 * Int(levels[place]) + 38470 * Int(levels[plane + place]) + 7471 * Int(levels[2 * plane + place])
        return UInt8((sum + 0x8000) >> 16)
      }
      return Picture(shape, .levels(grey))
    case .numbers(let numbers):
      let grey = (0..<plane).map { place in
        (19595 * numbers[place] + 38470 * numbers[plane + place] + 7471 * numbers[2 * plane + place]) / 65536
      }
      return Picture(shape, .numbers(grey))
    }
  }

  /// The picture in another size, as Pillow makes it of levels, and as the same sums without rounding make it of numbers.
  func resized(height: Int, width: Int, _ filter: ImageFilter) -> Picture {
    // Which axis comes first shows in the levels between. Pillow 13 takes the height first where that loses most.
    let rowsGo = shape.height - height
    let isTallFirst = rowsGo > 0 && rowsGo > 2 * (shape.width - width)
    return isTallFirst ? inHeight(height, filter).inWidth(width, filter) : inWidth(width, filter).inHeight(height, filter)
  }

  private func inWidth(_ width: Int, _ filter: ImageFilter) -> Picture {
    guard shape.width != width else { return self }
    var picture = self
    let weights = ImageResampling(filter, from: shape.width, to: width)
    picture.values = weights.along(values, outer: shape.channels * shape.height, inner: 1)
    picture.shape.width = width
    return picture
  }

  private func inHeight(_ height: Int, _ filter: ImageFilter) -> Picture {
    guard shape.height != height else { return self }
    var picture = self
    let weights = ImageResampling(filter, from: shape.height, to: height)
    picture.values = weights.along(values, outer: shape.channels, inner: shape.width)
    picture.shape.height = height
    return picture
  }

  /// The middle of the picture; where that is larger than the picture, zeros around it.
  func centered(height: Int, width: Int) -> Picture {
    guard height != shape.height || width != shape.width else { return self }
    // Floors, below zero too: of an odd rest the larger half is before the picture, as in the library.
    return window(top: (shape.height - height) >> 1, left: (shape.width - width) >> 1, height: height, width: width)
  }

  /// A part of the picture, zeros where it leaves it.
  private func window(top: Int, left: Int, height: Int, width: Int) -> Picture {
    let window = ImageShape(channels: shape.channels, height: height, width: width)
    return switch values {
    case .levels(let levels): Picture(window, .levels(cut(levels, 0, top, left, window)))
    case .numbers(let numbers): Picture(window, .numbers(cut(numbers, 0, top, left, window)))
    }
  }

  private func cut<Value>(_ values: [Value], _ zero: Value, _ top: Int, _ left: Int, _ window: ImageShape) -> [Value] {
    var out = [Value](repeating: zero, count: window.count)
    for channel in 0..<window.channels {
      for row in max(0, -top)..<max(0, -top, min(window.height, shape.height - top)) {
        for column in max(0, -left)..<max(0, -left, min(window.width, shape.width - left)) {
          out[(channel * window.height + row) * window.width + column] =
            values[(channel * shape.height + row + top) * shape.width + column + left]
        }
      }
    }
    return out
  }
}
