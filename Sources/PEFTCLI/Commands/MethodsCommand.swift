import ArgumentParser
import Conformance
import JSON
import PEFTKernel
import Registry

struct MethodsCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "methods", abstract: "The methods there are, or one of them with its options.")

  @Argument(help: "A method to describe.")
  var name: String?

  @Flag(help: "Print what goes with what: projections, starts, trained roles, optimizers.")
  var matrix = false

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var common: CommonOptions

  func run(_ call: Invocation) async throws -> ExitStatus {
    let registry = try call.registry()
    if matrix {
      // Methods of the user's own are in no page that was made before: the suite finds out.
      let known = call.folders.isEmpty ? call.grid : nil
      call.console.print(try known ?? GridDocument.markdown(try Grid(registry)))
      return .ok
    }
    guard let name else {
      list(registry, call.console)
      return .ok
    }
    let page = MethodPage(try registry.entry(named: name), registry)
    call.console.print(json ? page.json.text(indented: true) : page.lines.joined(separator: "\n"))
    return .ok
  }

  private func list(_ registry: MethodRegistry, _ console: Console) {
    let entries = registry.entries.values.sorted { $0.name < $1.name }
    if json {
      console.print(JSON.array(entries.map { MethodPage($0, registry).json }).text(indented: true))
      return
    }
    let rows =
      [["method", "projection", "init", "trained", "paper"]]
      + entries.map { entry in
        let trained = entry.trainable.roles.sorted() + (entry.trainable.base ? ["base"] : [])
        return [
          entry.name, entry.projection.name, entry.initialization.name, trained.joined(separator: ", "), entry.paper ?? "",
        ]
      }
    for line in Format.table(rows) { console.print(line) }
  }
}
