import ArgumentParser
import Files
import JSON
import Training

struct InspectCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "What a safetensors or GGUF file, an adapter, a model or a run's folder holds.")

  @Argument(help: "A safetensors or GGUF file, an adapter directory, a model directory, or a run's folder.")
  var path: String

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup var common: CommonOptions

  func run(_ call: Invocation) async throws -> ExitStatus {
    let inspection = try inspection()
    call.console.print(json ? inspection.json.text(indented: true) : inspection.lines.joined(separator: "\n"))
    return .ok
  }

  private func inspection() throws -> Inspection {
    guard Folder.exists(path) else { throw FileError(.missing, path, "there is no such file or folder") }
    guard Folder.isFolder(path) else {
      return GGUFFile.isGGUF(path) ? Inspection(gguf: try GGUFFile(path)) : Inspection(file: try SafetensorsFile(path))
    }
    func has(_ name: String) -> Bool { Folder.isFile(Folder.join(path, name)) }
    if has("adapter_config.json") { return try Inspection(adapter: path) }
    if has(RunSession.fileName) { return try Inspection(run: path) }
    if has("config.json") { return try Inspection(model: path) }
    throw FileError(
      .missing, path, "is neither a model, an adapter nor a run",
      cause: "there is no config.json, adapter_config.json or \(RunSession.fileName)",
      remedy: "give such a folder or a safetensors file")
  }
}
