import Catalog
import Files
import JSON
import PEFTCLI
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What one command line did.
struct Outcome {
  var status: PEFTCLI.ExitStatus
  /// Standard output.
  var printed: String
  /// Standard error.
  var notes: String

  func json() throws -> JSON { try JSON(parsing: printed) }
}

/// Files of the other rooms' tests, which are not repeated here.
enum Fixtures {
  static let tests = Folder.split(Folder.split(#filePath).folder).folder
  /// A small model with `reference.safetensors`, what an independent implementation computed.
  static func model(_ family: String) -> String { "\(tests)/ModelsTests/Fixtures/\(family)" }
  /// Runs of an independent implementation: `llama-tiny/lora`, say.
  static func run(_ name: String) -> String { "\(tests)/TrainingTests/Fixtures/runs/\(name)" }
  static func golden(_ name: String) -> String { "\(tests)/ConformanceTests/Fixtures/\(name).safetensors" }
}

/// A folder of its own for one test, removed with the object. Messages are compared without its path.
///
/// `model` in it is the tiny Llama, `tokens.safetensors` ten steps of two sequences for it.
final class Scratch {
  let path: String

  init() throws {
    var template = Array("/tmp/command-tests-XXXXXX".utf8CString)
    path = String(cString: try #require(mkdtemp(&template)))
    try link("model", to: Fixtures.run("llama-tiny/model"))
    try link("tokens.safetensors", to: Fixtures.run("llama-tiny/lora/batches.safetensors"))
  }

  deinit { try? Folder.remove(path) }

  subscript(_ name: String) -> String { path + "/" + name }

  @discardableResult
  func put(_ name: String, _ text: String) throws -> String { try put(name, Array(text.utf8)) }

  @discardableResult
  func put(_ name: String, _ bytes: [UInt8]) throws -> String {
    try Folder.create(Folder.split(self[name]).folder)
    try WholeFile.write(bytes, to: self[name])
    return self[name]
  }

  func link(_ name: String, to target: String) throws {
    try Folder.create(Folder.split(self[name]).folder)
    try #require(symlink(target, self[name]) == 0)
  }

  /// Everything in the folder, links not followed.
  var listing: [String] {
    get throws {
      func list(_ folder: String) throws -> [String] {
        try Folder.names(in: folder).flatMap { name -> [String] in
          let path = Folder.join(folder, name)
          var found = stat()
          guard lstat(path, &found) == 0, found.st_mode & S_IFMT == S_IFDIR else { return [path] }
          return [path + "/"] + (try list(path))
        }
      }
      return try list(path)
    }
  }

  /// Runs a command line in this process; arguments that begin with `@` name files of this folder.
  func peft(_ arguments: String...) async -> Outcome { await peft(arguments) }

  func peft(_ arguments: [String]) async -> Outcome {
    let console = Console.capturing()
    let status = await PEFTCommand.run(
      arguments.map { $0.hasPrefix("@") ? self[String($0.dropFirst())] : $0 }, plugins: Catalog.plugins,
      entries: Catalog.entries, console: console)
    return Outcome(status: status, printed: plain(console.printed), notes: plain(console.notes))
  }

  private func plain(_ text: String) -> String { text.replacing(path + "/", with: "").replacing(path, with: "DIR") }

  /// Runs a command line that must be refused: with that status and exactly these errors, and nothing written.
  func expectRefusal(
    _ arguments: String..., status: PEFTCLI.ExitStatus, _ errors: String..., at location: SourceLocation = #_sourceLocation
  ) async throws {
    let before = try listing
    let outcome = await peft(arguments)
    #expect(outcome.status == status, sourceLocation: location)
    #expect(
      outcome.notes == errors.map { "peft: error: \($0)\n" }.joined(), sourceLocation: location)
    #expect(outcome.printed.isEmpty, sourceLocation: location)
    #expect(try listing == before, sourceLocation: location)
  }
}

/// A run file on the scratch folder's model and batches; every replacement must find its text.
func runText(_ replacements: KeyValuePairs<String, String> = [:], adding lines: String = "") throws -> String {
  var text = """
    base_model: model
    method: lora
    data: { tokens: tokens.safetensors }
    steps: 2
    batch_size: 2
    output_dir: out

    """
  for (old, new) in replacements {
    try #require(text.contains(old))
    text.replace(old, with: new)
  }
  return text + lines
}

/// The lines of a run's metrics.
func metrics(_ folder: String) throws -> [JSON] {
  try TextFile.read(folder + "/metrics.jsonl").split(separator: "\n").map { try JSON(parsing: String($0)) }
}

/// The largest difference of a tensor that two files hold.
func difference(_ name: String, _ a: String, _ b: String) throws -> Double {
  let (a, b) = (try SafetensorsFile(a).doubles(of: name), try SafetensorsFile(b).doubles(of: name))
  try #require(a.count == b.count)
  return zip(a, b).map { ($0 - $1).magnitude }.max() ?? 0
}
