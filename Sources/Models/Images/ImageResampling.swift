#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// How the pixels of an image of another size are made, by Pillow's numbers for these filters.
public enum ImageFilter: Int, Sendable, Hashable, CaseIterable {
  case nearest = 0
  case lanczos = 1
  case bilinear = 2
  case bicubic = 3
  case box = 4
  case hamming = 5

  /// How far the filter reaches, in pixels of the larger of both images.
  var support: Double {
    switch self {
    case .nearest, .box: 0.5
    case .bilinear, .hamming: 1
    case .bicubic: 2
    case .lanczos: 3
    }
  }

  /// The weight of a pixel at a distance.
  func weight(_ x: Double) -> Double {
    let distance = abs(x)
    switch self {
    case .nearest, .box: return x > -0.5 && x <= 0.5 ? 1 : 0
    case .bilinear: return distance < 1 ? 1 - distance : 0
    case .bicubic:
      // Keys' cubic with a = −1/2.
      if distance < 1 { return ((-0.5 + 2) * distance - (-0.5 + 3)) * distance * distance + 1 }
      return distance < 2 ? (((distance - 5) * distance + 8) * distance - 4) * -0.5 : 0
    case .lanczos: return x >= -3 && x < 3 ? Self.sinc(x) * Self.sinc(x / 3) : 0
    case .hamming:
      guard distance > 0, distance < 1 else { return distance == 0 ? 1 : 0 }
      // The coefficients are floats in Pillow.
      return Self.sinc(distance) * (Double(0.54 as Float) + Double(0.46 as Float) * cos(distance * .pi))
    }
  }

  private static func sinc(_ x: Double) -> Double { x == 0 ? 1 : sin(x * .pi) / (x * .pi) }
}

/// Which pixels along one axis make up each pixel of the new size, and with what weights: a filter as wide as a new pixel where
/// the image shrinks (antialiasing), as wide as an old one where it grows.
///
/// The arithmetic is Pillow's (libImaging/Resample.c) to the bit: models have been trained on its pixels.
struct ImageResampling {
  private let from: Int
  /// First pixel and weights of every new pixel.
  private var windows: [(first: Int, weights: [Double])] = []

  init(_ filter: ImageFilter, from: Int, to: Int) {
    self.from = from
    windows.reserveCapacity(to)
    let scale = Double(from) / Double(to)
    guard filter != .nearest else {
      // By adding up, as there: the last bit may decide.
      var place = scale * 0.5
      for _ in 0..<to {
        windows.append((min(Int(place), from - 1), [1]))
        place += scale
      }
      return
    }
    let width = max(scale, 1)
    let reach = filter.support * width
    for index in 0..<to {
      let center = (Double(index) + 0.5) * scale
      let first = max(0, Int(center - reach + 0.5))
      let end = min(from, Int(center + reach + 0.5))
      var weights = (first..<max(first, end)).map { filter.weight((Double($0) - center + 0.5) * (1 / width)) }
      let sum = weights.reduce(0, +)
      if sum != 0 { for place in weights.indices { weights[place] /= sum } }
      windows.append((first, weights))
    }
  }

  /// Resamples the middle one of three axes [outer, from, inner].
  func along(_ values: Picture.Values, outer: Int, inner: Int) -> Picture.Values {
    switch values {
    case .levels(let levels):
      // Weights in 2²²ths, sums rounded and clamped: a level lies between this pass and the next.
      let whole = windows.map { $0.weights.map { Int(($0 < 0 ? -0.5 : 0.5) + $0 * 0x1p22) } }
      return .levels(
        along(outer, inner) { window, start in
          var sum = 1 << 21
          var place = start
          for weight in whole[window] {
            sum += weight * Int(levels[place])
            place += inner
          }
          return UInt8(clamping: sum >> 22)
        })
    case .numbers(let numbers):
      return .numbers(
        along(outer, inner) { window, start in
          var sum = 0.0
          var place = start
          for weight in windows[window].weights {
            sum += weight * Double(numbers[place])
            place += inner
          }
          return Float(sum)
        })
    }
  }

  private func along<Value>(_ outer: Int, _ inner: Int, _ value: (_ window: Int, _ start: Int) -> Value) -> [Value] {
    var out: [Value] = []
    out.reserveCapacity(outer * windows.count * inner)
    for block in 0..<outer {
      for (index, window) in windows.enumerated() {
        let start = (block * from + window.first) * inner
        for place in 0..<inner { out.append(value(index, start + place)) }
      }
    }
    return out
  }
}
