import Files
import JSON

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// How fast the pairs of a head turn with the position.
struct RotarySettings: Sendable, Equatable {
  enum Scaling: Sendable, Equatable {
    case none
    /// All frequencies divided by `factor`.
    case linear(factor: Double)
    /// Llama 3.1: low frequencies divided by `factor`, high ones kept, those between interpolated.
    case llama3(factor: Double, low: Double, high: Double, original: Double)
  }

  var theta: Double
  /// Of a head.
  var width: Int
  var scaling: Scaling

  /// Angle per position of each of the width/2 pairs.
  var frequencies: [Double] {
    (0..<width / 2).map { i in
      let frequency = pow(theta, -2 * Double(i) / Double(width))
      switch scaling {
      case .none: return frequency
      case .linear(let factor): return frequency / factor
      case .llama3(let factor, let low, let high, let original):
        let wavelength = 2 * Double.pi / frequency
        if wavelength < original / high { return frequency }
        if wavelength > original / low { return frequency / factor }
        let smooth = (original / wavelength - low) / (high - low)
        return (1 - smooth) * frequency / factor + smooth * frequency
      }
    }
  }
}

extension RotarySettings {
  /// Reads `rope_parameters`, or the older `rope_theta` and `rope_scaling`, which win where both stand.
  init(_ reader: ConfigReader, width: Int, maximumPositions: Int) throws(FileError) {
    guard width % 2 == 0 else { throw reader.unfit("head_dim", .int(width), "rotary positions need an even width") }
    try reader.demand("partial_rotary_factor", 1.0)
    self.width = width
    let found = reader.value(["rope_scaling"]) ?? reader.value(["rope_parameters"])
    let name = found?.name ?? "rope_parameters"
    let settings = found?.value ?? .object([])
    guard let members = settings.members else { throw reader.unfit(name, settings, "an object is wanted") }
    if let nested = members.first(where: { $0.value.members != nil }) {
      throw reader.unsupported("\(name).\(nested.key)", nested.value, "one setting for all layers is")
    }
    /// A positive number of the settings.
    func number(_ key: String, default fallback: Double? = nil) throws(FileError) -> Double {
      guard let value = settings[key], !value.isNull else {
        if let fallback { return fallback }
        throw reader.missing("\(name).\(key)", "this rope_type needs it")
      }
      guard let number = value.double, number > 0, number.isFinite else {
        throw reader.unfit("\(name).\(key)", value, "a positive number is wanted")
      }
      return number
    }
    if let partial = settings["partial_rotary_factor"], !partial.isNull, partial.double != 1 {
      throw reader.unsupported("\(name).partial_rotary_factor", partial, "only 1 is")
    }
    let outer = try reader.double(
      "rope_theta", default: 10_000, in: Double.leastNonzeroMagnitude..<Double.greatestFiniteMagnitude)
    theta = try number("rope_theta", default: outer)
    let type = [settings["rope_type"], settings["type"]].compactMap { $0 }.first { !$0.isNull } ?? "default"
    switch type.string {
    case "default": scaling = .none
    case "linear": scaling = .linear(factor: try number("factor"))
    case "llama3":
      let (low, high) = (try number("low_freq_factor"), try number("high_freq_factor"))
      guard low < high else {
        throw reader.unfit("\(name).high_freq_factor", .double(high), "more than low_freq_factor \(low) is wanted")
      }
      let original = try number("original_max_position_embeddings", default: Double(maximumPositions))
      scaling = .llama3(factor: try number("factor"), low: low, high: high, original: original)
    default: throw reader.unsupported("\(name).rope_type", type, "supported: default, linear, llama3")
    }
  }
}
