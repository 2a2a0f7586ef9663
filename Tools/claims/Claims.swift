import Catalog
import Files
import JSON
import PEFTCLI
import Training

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Measures what the papers claim, at a size that two cores can run in an hour, and writes down what came of it.
///
///     claims FOLDER [--reduced] [--revision TEXT] [--only PART,…] [--write]
///
/// Run in the repository's root. FOLDER keeps every part that is done, and every trial: the same command goes on after whatever
/// stopped it. `--write` makes docs/claims.md and bench/claims of a full form that is complete. The reduced form shows that
/// everything runs; its numbers show nothing, so that every line of it says "reduced".
@main
struct Claims {
  static let parts: [Part] = [
    .gradientStart, .smallCore, .oneVector, .weightOptimizers, .compositions, .quantizedStarts, .transforms, .sparseMemory,
    .factoredNorm,
  ]

  static func main() async {
    do {
      try await run(Array(CommandLine.arguments.dropFirst()))
    } catch {
      Bench.write("claims: \(error)", to: 2)
      exit(1)
    }
  }

  private static func run(_ words: [String]) async throws {
    var (folder, isReduced, writes, revision, only): (String?, Bool, Bool, String, [String]) = (nil, false, false, "", [])
    var rest = words[...]
    while let word = rest.popFirst() {
      switch word {
      case "--reduced": isReduced = true
      case "--write": writes = true
      case "--revision": revision = rest.popFirst() ?? ""
      case "--only": only = (rest.popFirst() ?? "").split(separator: ",").map(String.init)
      default: folder = word
      }
    }
    guard let folder, !folder.hasPrefix("-") else { throw Fault("give the folder that results go to") }
    guard !(isReduced && writes) else { throw Fault("the reduced form writes no documents") }
    for name in only where !parts.contains(where: { $0.name == name }) {
      throw Fault("there is no part \(name): \(parts.map(\.name).joined(separator: ", "))")
    }
    let bench = try Bench(isReduced ? .reduced : .full, folder: Folder.absolute(folder), registry: Catalog.registry())
    var results: [PartResult] = []
    for part in parts where only.isEmpty || only.contains(part.name) {
      results.append(try await bench.result(of: part, revision: revision))
    }
    let report = Report(results, scale: bench.scale)
    bench.say("\n" + report.text)
    guard writes else { return }
    guard results.count == parts.count else { throw Fault("documents are made of all parts: leave --only away") }
    try WholeFile.write(report.text, to: "docs/claims.md")
    try Folder.create("bench/claims")
    for result in results { try WholeFile.write(result.json.text() + "\n", to: "bench/claims/\(result.name).json") }
    bench.say("docs/claims.md and bench/claims are written")
  }
}

struct Fault: Error, CustomStringConvertible {
  var description: String

  init(_ description: String) { self.description = description }
}
