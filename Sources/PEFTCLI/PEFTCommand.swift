import Blocks
import ArgumentParser
import Engine
import PEFTKernel
import Registry
import Training

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The whole command line, for any set of methods. A package with a method of its own gets it all from
///
///     await PEFTCommand.main(plugins: Catalog.plugins + [MyMethod.plugin], entries: Catalog.entries + [myEntry])
///
/// in its `main.swift`. `grid` is the page of what goes with what among those methods, where it was made before.
public enum PEFTCommand {
  /// Runs the command line of this process and ends it with the command's exit code.
  public static func main(plugins: [Plugin], entries: [EntrySource], grid: String? = nil) async -> Never {
    // A reader that leaves early must not end a training run; writes then fail with EPIPE and are dropped.
    signal(SIGPIPE, SIG_IGN)
    // Nor must a limit on the size of files: writes then fail with EFBIG, which is reported and leaves nothing half-written.
    signal(SIGXFSZ, SIG_IGN)
    let console = Console.standard
    let arguments = Array(CommandLine.arguments.dropFirst())
    let status = await run(arguments, plugins: plugins, entries: entries, grid: grid, console: console)
    exit(console.failure == nil || status != .ok ? status.rawValue : ExitStatus.io.rawValue)
  }

  /// Runs one command line, without the program's name, and says how it ended; never ends the process.
  public static func run(
    _ arguments: [String], plugins: [Plugin], entries: [EntrySource], grid: String? = nil, console: Console
  ) async -> ExitStatus {
    do {
      let command = try RootCommand.parseAsRoot(arguments)
      guard let subcommand = command as? any Subcommand else {
        // `help` and the bare program name: the parser's own text.
        var command = command
        try command.run()
        return .ok
      }
      // What the building blocks offer is there whether a program names them or not.
      let blocks = BuildingBlocks.plugin
      let all = plugins.contains { $0.name == blocks.name } ? plugins : [blocks] + plugins
      let call = Invocation(plugins: all, entries: entries, grid: grid, console: console, options: subcommand.common)
      return try await subcommand.run(call)
    } catch {
      return report(error, console)
    }
  }

  private static func report(_ error: any Error, _ console: Console) -> ExitStatus {
    if let failure = Failure(describing: error) {
      for line in failure.message.split(separator: "\n", omittingEmptySubsequences: true) {
        console.note("\(Invocation.programName): error: \(line)")
      }
      return failure.status
    }
    // What is left comes from the parser: help that was asked for, or a command line that makes no sense.
    let text = RootCommand.fullMessage(for: error)
    guard RootCommand.exitCode(for: error) != .success else {
      console.print(text)
      return .ok
    }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() {
      console.note(index == 0 ? "\(Invocation.programName): \(line.replacingPrefix("Error:", with: "error:"))" : String(line))
    }
    return .usage
  }
}

extension Substring {
  fileprivate func replacingPrefix(_ prefix: String, with other: String) -> String {
    hasPrefix(prefix) ? other + dropFirst(prefix.count) : String(self)
  }
}
