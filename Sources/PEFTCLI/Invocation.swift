import Files
import Logging
import PEFTKernel
import Registry

/// One run of the program: what it is made of and where it writes.
struct Invocation: Sendable {
  let plugins: [Plugin]
  let entries: [EntrySource]
  let folders: [String]
  /// What goes with what among the built-in methods, where a page of it comes with the program.
  let grid: String?
  let console: Console
  /// Diagnostics, on standard error when asked for.
  let log: Logger

  init(plugins: [Plugin], entries: [EntrySource], grid: String?, console: Console, options: CommonOptions) {
    self.grid = grid
    self.plugins = plugins
    self.entries = entries
    self.folders = options.folders
    self.console = console
    var log = Logger(label: "peft") { _ in ConsoleLogHandler(console: console) }
    log.logLevel = options.verbose ? .debug : .warning
    self.log = log
  }

  /// Every method there is: built in, or in the user's folders.
  func registry() throws -> MethodRegistry {
    let registry = try MethodRegistry(plugins: plugins, entries: entries, folders: folders)
    log.debug("methods: \(registry.entries.keys.sorted().joined(separator: ", "))")
    return registry
  }

  /// The name the program was called by, for messages that show commands.
  static let programName: String = {
    let name = Folder.split(CommandLine.arguments.first ?? "").name
    // A test runner is no program of ours.
    return name.isEmpty || name.hasSuffix(".xctest") || name.contains("swiftpm-testing") ? "peft" : name
  }()

  /// What to type to call the program again: its name, or its path where it was called by one.
  static let command: String = {
    guard let called = CommandLine.arguments.first, called.contains("/"), Folder.split(called).name == programName else {
      return programName
    }
    let path = Format.path(called)
    return shellQuoted(path.contains("/") ? path : "./\(path)")
  }()
}
