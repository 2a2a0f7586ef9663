import Files
import JSON

/// Reads a config.json field by field; what it cannot honour it refuses by name.
struct ConfigReader {
  let file: String
  let config: JSON
  /// The path of the object that is read, with a point at its end: what comes before a field's name in messages.
  private let prefix: String

  init(_ directory: ModelDirectory) {
    file = Folder.join(directory.path, "config.json")
    config = directory.config
    prefix = ""
  }

  /// Of another file of settings.
  init(_ file: String, _ config: JSON) {
    self.file = file
    self.config = config
    prefix = ""
  }

  /// Of an object within the config; one that is absent or null has no fields.
  init(_ reader: ConfigReader, in name: String) throws(FileError) {
    let object = reader.value([name])?.value ?? .object([])
    guard object.members != nil else { throw reader.unfit(name, object, "an object is wanted") }
    file = reader.file
    config = object
    prefix = reader.prefix + name + "."
  }

  /// The value of the first of `names` that is there; null is absent, as it is for those who write these files.
  func value(_ names: [String]) -> (name: String, value: JSON)? {
    for name in names {
      if let value = config[name], !value.isNull { return (name, value) }
    }
    return nil
  }

  func int(_ names: String..., default fallback: Int, in range: ClosedRange<Int> = 1...Int(Int32.max)) throws(FileError) -> Int {
    guard let (name, value) = value(names) else { return fallback }
    guard let int = value.int, range.contains(int) else {
      throw unfit(name, value, "an integer from \(range.lowerBound) to \(range.upperBound) is wanted")
    }
    return int
  }

  func double(_ names: String..., default fallback: Double, in range: Range<Double>) throws(FileError) -> Double {
    guard let (name, value) = value(names) else { return fallback }
    guard let double = value.double, range.contains(double) else {
      throw unfit(name, value, "a number from \(range.lowerBound) to below \(range.upperBound) is wanted")
    }
    return double
  }

  /// An integer, or nil where the field is null: what says none, and is not the same as a field that is absent.
  func intOrNone(_ name: String, default fallback: Int?) throws(FileError) -> Int? {
    guard let value = config[name] else { return fallback }
    return try value.isNull ? nil : int(name, default: 1)
  }

  /// A positive number, or nil where the field is null.
  func doubleOrNone(_ name: String, default fallback: Double?) throws(FileError) -> Double? {
    guard let value = config[name] else { return fallback }
    if value.isNull { return nil }
    guard let double = value.double, double > 0, double.isFinite else {
      throw unfit(name, value, "a positive number, or null, is wanted")
    }
    return double
  }

  func bool(_ name: String, default fallback: Bool) throws(FileError) -> Bool {
    guard let (_, value) = value([name]) else { return fallback }
    guard let bool = value.bool else { throw unfit(name, value, "true or false is wanted") }
    return bool
  }

  /// A string that must be one of `supported`.
  func choice(_ name: String, default fallback: String, supported: [String]) throws(FileError) -> String {
    guard let (_, value) = value([name]) else { return fallback }
    guard let string = value.string, supported.contains(string) else {
      throw unsupported(name, value, "supported: \(supported.joined(separator: ", "))")
    }
    return string
  }

  /// Refuses the field unless it is absent or has the one value that is computed here.
  func demand(_ name: String, _ only: JSON, because reason: String? = nil) throws(FileError) {
    guard let (_, value) = value([name]), value != only else { return }
    if let number = value.double, number == only.double { return }
    throw unsupported(name, value, reason ?? "only \(only.brief) is")
  }

  /// Refuses the field unless it is absent or null.
  func demandAbsent(_ name: String, _ reason: String) throws(FileError) {
    guard let (_, value) = value([name]) else { return }
    throw unsupported(name, value, reason)
  }

  func unsupported(_ name: String, _ value: JSON, _ reason: String) -> FileError {
    FileError(.badData, file, "\(prefix)\(name): \(value.brief) is not supported", cause: reason)
  }

  func unfit(_ name: String, _ value: JSON, _ wanted: String) -> FileError {
    FileError(.badData, file, "\(prefix)\(name): \(value.brief) does not fit", cause: wanted)
  }

  func missing(_ name: String, _ reason: String) -> FileError {
    FileError(.badData, file, "\(prefix)\(name) is missing", cause: reason)
  }
}

extension JSON {
  /// The value for a message of one line.
  var brief: String {
    switch self {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .int(let value): "\(value)"
    case .double(let value): "\(value)"
    case .string(let value): "\"\(value.prefix(60))\""
    case .array(let values) where values.count <= 4: "[\(values.map(\.brief).joined(separator: ", "))]"
    case .array(let values): "a list of \(values.count)"
    case .object: "an object"
    }
  }
}
