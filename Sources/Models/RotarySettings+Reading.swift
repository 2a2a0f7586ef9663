import Files
import JSON

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

extension RotarySettings {
  /// Reads `rope_parameters`, or the older `rope_theta` and `rope_scaling`, which win where both stand: settings for all layers,
  /// or for each of the `kinds` of layers some of its own.
  static func all(
    _ reader: ConfigReader, kinds: Set<DecoderConfig.LayerKind>, width: Int, maximumPositions: Int
  ) throws(FileError) -> [DecoderConfig.LayerKind: RotarySettings] {
    guard width % 2 == 0 else { throw reader.unfit("head_dim", .int(width), "rotary positions need an even width") }
    let older = reader.value(["rope_scaling"]).flatMap { $0.value.members?.isEmpty == true ? nil : $0 }
    let (name, settings) = older ?? reader.value(["rope_parameters"]) ?? ("rope_parameters", .object([]))
    guard let members = settings.members else { throw reader.unfit(name, settings, "an object is wanted") }
    var all: [DecoderConfig.LayerKind: RotarySettings] = [:]
    guard members.contains(where: { $0.value.members != nil }) else {
      let shared = try RopeReader(reader, name, settings, width, maximumPositions, isShared: true).settings()
      for kind in kinds { all[kind] = shared }
      return all
    }
    let names = DecoderConfig.LayerKind.allCases.map(\.rawValue)
    if let stray = members.first(where: { !names.contains($0.key) || $0.value.members == nil }) {
      throw reader.unsupported(
        "\(name).\(stray.key)", stray.value, "settings by layer are objects under \(names.joined(separator: ", "))")
    }
    for kind in kinds.sorted(by: { $0.rawValue < $1.rawValue }) {
      let path = "\(name).\(kind.rawValue)"
      guard let own = settings[kind.rawValue] else { throw reader.missing(path, "layer_types has such layers") }
      all[kind] = try RopeReader(reader, path, own, width, maximumPositions, isShared: false).settings()
    }
    return all
  }

  /// How many positions a model has of which the config says `positions`: more, where these settings are for going on.
  func extended(_ positions: Int) -> Int {
    guard case .dynamic(let factor, _) = scaling, factor > 1 else { return positions }
    return Int(min(Double(positions) * factor, Double(Int32.max)))
  }
}

/// Reads one object of settings.
private struct RopeReader {
  let reader: ConfigReader
  /// The object's path.
  let name: String
  let object: JSON
  let width: Int
  let maximumPositions: Int
  /// Whether the config's own `original_max_position_embeddings` is for this object.
  let isShared: Bool

  init(_ reader: ConfigReader, _ name: String, _ object: JSON, _ width: Int, _ maximumPositions: Int, isShared: Bool) {
    (self.reader, self.name, self.object) = (reader, name, object)
    (self.width, self.maximumPositions, self.isShared) = (width, maximumPositions, isShared)
  }

  func settings() throws(FileError) -> RotarySettings {
    let positive = Double.leastNonzeroMagnitude..<Double.greatestFiniteMagnitude
    let theta = try number("rope_theta", default: reader.double("rope_theta", default: 10_000, in: positive))
    let type = value("rope_type") ?? value("type") ?? "default"
    let partial = try number(
      "partial_rotary_factor", default: reader.double("partial_rotary_factor", default: 1, in: positive))
    guard partial == 1 || type == "proportional" && partial < 1 else {
      throw reader.unsupported("\(name).partial_rotary_factor", .double(partial), "only 1 is, but for rope_type proportional")
    }
    var settings = RotarySettings(theta: theta, width: width, scaling: .none)
    switch type.string {
    case "default": break
    case "linear": settings.scaling = .linear(factor: try number("factor"))
    case "proportional": settings.scaling = .proportional(factor: try number("factor", default: 1), share: partial)
    case "llama3": settings.scaling = try llama3()
    case "dynamic":
      guard width > 2 else { throw reader.unfit("head_dim", .int(width), "rope_type dynamic needs more than 2") }
      settings.scaling = .dynamic(factor: try number("factor"), original: maximumPositions)
    case "yarn": (settings.scaling, settings.amplitude) = try yarn(theta)
    case "longrope": (settings.scaling, settings.amplitude) = try longrope()
    default:
      throw reader.unsupported(
        "\(name).rope_type", type, "supported: default, linear, dynamic, yarn, longrope, llama3, proportional")
    }
    return settings
  }

  private func llama3() throws(FileError) -> RotarySettings.Scaling {
    let (low, high) = (try number("low_freq_factor"), try number("high_freq_factor"))
    guard low < high else {
      throw reader.unfit("\(name).high_freq_factor", .double(high), "more than low_freq_factor \(low) is wanted")
    }
    return .llama3(factor: try number("factor"), low: low, high: high, original: Double(try original()))
  }

  private func yarn(_ theta: Double) throws(FileError) -> (RotarySettings.Scaling, amplitude: Double) {
    guard theta > 1 else { throw reader.unfit("\(name).rope_theta", .double(theta), "rope_type yarn needs more than 1") }
    let original = Double(try original())
    let factor = try number("factor", default: Double(maximumPositions) / original)
    func amplitude(_ scale: Double) -> Double { factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1 }
    let (scale, scaleOfAll) = (try number("mscale", default: 0, least: 0), try number("mscale_all_dim", default: 0, least: 0))
    let suggested = scale > 0 && scaleOfAll > 0 ? amplitude(scale) / amplitude(scaleOfAll) : amplitude(1)
    var isRounded = true
    if let value = value("truncate") {
      guard let bool = value.bool else { throw reader.unfit("\(name).truncate", value, "true or false is wanted") }
      isRounded = bool
    }
    let scaling = RotarySettings.Scaling.yarn(
      factor: factor, fast: try number("beta_fast", default: 32), slow: try number("beta_slow", default: 1), original: original,
      isRounded: isRounded)
    return (scaling, try number("attention_factor", default: suggested, least: 0))
  }

  private func longrope() throws(FileError) -> (RotarySettings.Scaling, amplitude: Double) {
    let original = try original()
    guard original > 1 else {
      throw reader.unfit("\(name).original_max_position_embeddings", .int(original), "rope_type longrope needs more than 1")
    }
    let factor = try number("factor", default: Double(maximumPositions) / Double(original))
    let suggested = factor <= 1 ? 1 : (1 + log(factor) / log(Double(original))).squareRoot()
    let scaling = RotarySettings.Scaling.longrope(
      short: try divisors("short_factor"), long: try divisors("long_factor"), original: original)
    return (scaling, try number("attention_factor", default: suggested, least: 0))
  }

  /// The positions that the model was first trained with.
  private func original() throws(FileError) -> Int {
    let key = "original_max_position_embeddings"
    if isShared, reader.value([key]) != nil { return try reader.int(key, default: maximumPositions) }
    guard let value = value(key) else { return maximumPositions }
    guard let number = value.int, number > 0, number <= Int32.max else {
      throw reader.unfit("\(name).\(key)", value, "an integer from 1 to \(Int32.max) is wanted")
    }
    return number
  }

  /// A positive number for each pair.
  private func divisors(_ key: String) throws(FileError) -> [Double] {
    guard let value = value(key) else { throw reader.missing("\(name).\(key)", "this rope_type needs it") }
    let numbers = (value.array ?? []).compactMap(\.double).filter { $0 > 0 && $0.isFinite }
    guard numbers.count == width / 2, value.array?.count == numbers.count else {
      throw reader.unfit("\(name).\(key)", value, "a list of \(width / 2) positive numbers is wanted, half of head_dim")
    }
    return numbers
  }

  /// Of this object; null is absent.
  private func value(_ key: String) -> JSON? {
    guard let value = object[key], !value.isNull else { return nil }
    return value
  }

  /// A positive number, or one from `least` on.
  private func number(_ key: String, default fallback: Double? = nil, least: Double? = nil) throws(FileError) -> Double {
    guard let value = value(key) else {
      if let fallback { return fallback }
      throw reader.missing("\(name).\(key)", "this rope_type needs it")
    }
    guard let number = value.double, least.map({ number >= $0 }) ?? (number > 0), number.isFinite else {
      throw reader.unfit("\(name).\(key)", value, least == nil ? "a positive number is wanted" : "a number from 0 on is wanted")
    }
    return number
  }
}
