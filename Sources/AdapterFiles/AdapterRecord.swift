import Files
import JSON
import Models

/// What an adapter's config holds beside PEFT's fields, under `swift_peft`: all that is needed to rebuild the adapter and
/// to tell whether it was changed since.
struct AdapterRecord {
  static let key = "swift_peft"
  /// Of the record's own form; a reader refuses what is newer than it knows.
  static let format = 1

  struct Item {
    var shape: [Int]
    var sha256: String
  }

  /// The method in full.
  var entry: JSON
  /// Fingerprint of the base's weights; nil where the base has none.
  var baseDigest: String?
  /// The paths of the adapted sites in order.
  var sites: [String]
  /// Whether `…_init` tensors are taken from the base.
  var hasOffset: Bool
  /// By name in the file.
  var tensors: [String: Item]
  /// Sketches of the tensors that are derived from the base again, by their names.
  var derived: [String: DerivedSketch] = [:]
  /// What the model's head tells apart; nil where it has none.
  var labels: ClassLabels?

  var json: JSON {
    let items = tensors.map { name, item in
      JSON.Member(name, ["shape": .array(item.shape.map(JSON.int)), "sha256": .string(item.sha256)])
    }
    let members: [JSON.Member] = [
      .init("format", .int(Self.format)), .init("entry", entry), .init("base_digest", baseDigest.map(JSON.string) ?? .null),
      .init("sites", .array(sites.map(JSON.string))), .init("has_offset", .bool(hasOffset)), .init("tensors", .object(items)),
      .init("derived", .object(derived.map { JSON.Member($0.key, .array($0.value.values.map(JSON.double))) })),
    ]
    return .object(members + (labels?.recorded ?? []))
  }

  init(entry: JSON, baseDigest: String?, sites: [String], hasOffset: Bool, tensors: [String: Item]) {
    self.entry = entry
    self.baseDigest = baseDigest
    self.sites = sites
    self.hasOffset = hasOffset
    self.tensors = tensors
  }

  /// Nil where the config has no record.
  init?(_ config: JSON, path: String) throws(FileError) {
    guard let json = config[Self.key], !json.isNull else { return nil }
    func fault(_ what: String) -> FileError {
      FileError(.badData, path, "\(Self.key): \(what)", remedy: "restore the file as it was written")
    }
    guard let format = json["format"]?.int else { throw fault("has no format") }
    guard (1...Self.format).contains(format) else {
      throw FileError(
        .badData, path, "\(Self.key): has format \(format)", cause: "this version reads up to \(Self.format)",
        remedy: "use a newer version")
    }
    guard let entry = json["entry"] else { throw fault("has no entry") }
    self.entry = entry
    let digest = json["base_digest"] ?? .null
    guard digest.isNull || digest.string != nil else { throw fault("base_digest is no text") }
    baseDigest = digest.string
    guard let paths = json["sites"]?.array?.map(\.string), !paths.contains(nil), !paths.isEmpty else {
      throw fault("sites is no list of paths")
    }
    sites = paths.compactMap { $0 }
    guard Set(sites).count == sites.count else { throw fault("sites names one path twice") }
    guard let hasOffset = json["has_offset"]?.bool else { throw fault("has_offset is neither true nor false") }
    self.hasOffset = hasOffset
    guard let members = json["tensors"]?.members else { throw fault("has no tensors") }
    tensors = [:]
    for member in members {
      guard let shape = member.value["shape"]?.array?.map(\.int), !shape.contains(nil),
        let sha256 = member.value["sha256"]?.string
      else { throw fault("tensors: '\(member.key)' lacks shape or sha256") }
      tensors[member.key] = Item(shape: shape.compactMap { $0 }, sha256: sha256)
    }
    for member in json["derived"]?.members ?? [] {
      guard let values = member.value.array?.map(\.double), values.count == DerivedSketch.count, !values.contains(nil) else {
        throw fault("derived: '\(member.key)' is no list of \(DerivedSketch.count) numbers")
      }
      derived[member.key] = DerivedSketch(values: values.compactMap { $0 })
    }
    guard let labels = ClassLabels.recorded(in: json) else { throw fault("labels and problem_type do not name classes") }
    self.labels = labels
  }

  /// Refuses a file whose tensors are not those that were written.
  func check(_ weights: SafetensorsFile) throws(FileError) {
    for (name, item) in tensors.sorted(by: { $0.key < $1.key }) {
      guard let entry = weights.entry(name) else {
        throw FileError(.badData, weights.path, "lacks the tensor '\(printable(name))'")
      }
      guard entry.shape == item.shape else {
        throw FileError(
          .badData, weights.path, "tensor '\(printable(name))' has shape \(entry.shape)", cause: "\(item.shape) was written",
          remedy: "restore the file as it was written")
      }
      guard try SHA256.hex(weights.bytes(of: name)) == item.sha256 else {
        throw FileError(
          .badData, weights.path, "tensor '\(printable(name))' is not what was written: its SHA-256 differs",
          remedy: "restore the file, or remove \(Self.key) from \(AdapterFolder.configName) if it was edited on purpose")
      }
    }
  }
}

extension ClassLabels {
  /// What an adapter's files say of them.
  var recorded: [JSON.Member] {
    [.init("labels", .array(names.map(JSON.string))), .init("problem_type", .string(problem.rawValue))]
  }

  /// The classes in a record, none where it names none; nil where it is damaged.
  static func recorded(in json: JSON) -> ClassLabels?? {
    guard let given = json["labels"], !given.isNull else { return .some(nil) }
    guard let names = given.array?.map(\.string), !names.isEmpty, !names.contains(nil) else { return nil }
    let problem = json["problem_type"] ?? .null
    let known = problem.string.flatMap { Problem(rawValue: $0) }
    guard problem.isNull || known != nil else { return nil }
    return .some(ClassLabels(names: names.compactMap { $0 }, problem: known))
  }
}

extension SHA256 {
  static func hex(_ bytes: UnsafeRawBufferPointer) -> String {
    var hash = SHA256()
    hash.update(bytes)
    return hash.hex
  }
}
