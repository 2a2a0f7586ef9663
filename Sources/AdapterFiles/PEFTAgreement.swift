import Files
import JSON
import Registry

/// Whether the fields of PEFT's still say what the record beside them says: the record is what is read here, the fields are
/// what PEFT reads, and whoever edited one of them must not get two adapters from one directory.
enum PEFTAgreement {
  /// Refuses the first field that differs from what this adapter is written with. Fields of paths are left out unless `pathsAgree`.
  static func check(
    _ config: JSON, with expected: PEFTConfig, _ registry: MethodRegistry, pathsAgree: Bool, path: String
  ) throws(FileError) {
    let dialect = PEFTDialect.of(.object(expected.members), registry)
    let names =
      ["peft_type", "target_modules", "modules_to_save", "bias"]
      + (dialect.map { (Array($0.options.keys) + $0.marks.keys).sorted() } ?? [])
    let paths: Set = ["target_modules", "modules_to_save", "rank_pattern", "alpha_pattern"]
    for name in names where pathsAgree || !(paths.contains(name) || dialect?.said?.counts?.pattern == name) {
      guard let given = config[name], let recorded = expected.fields[name], !isSame(given, recorded) else { continue }
      throw FileError(
        .badData, path, "\(name): is \(given.text())", cause: "the record under \(AdapterRecord.key) says \(recorded.text())",
        remedy: "put \(name) back to \(recorded.text()): an adapter is changed by training it anew, not in this file")
    }
  }

  /// Numbers by value, lists and objects without their order.
  private static func isSame(_ a: JSON, _ b: JSON) -> Bool {
    if let first = a.double, let second = b.double { return first == second }
    if let first = a.array, let second = b.array {
      let (first, second) = (first.map { $0.text() }.sorted(), second.map { $0.text() }.sorted())
      return first == second
    }
    if let first = a.members, let second = b.members {
      return first.count == second.count && first.allSatisfy { member in b[member.key].map { isSame(member.value, $0) } ?? false }
    }
    return a == b
  }
}
