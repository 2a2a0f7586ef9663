import ArgumentParser
import Conformance
import Files
import JSON

struct VerifyCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Compare a method with reference files that an independent program computed.",
    discussion:
      "Ends with code 1 if an error exceeds the tolerance, if no method here reads a file, or if nothing asks for one of its tensors."
  )

  @Argument(help: ArgumentHelp("Reference files.", valueName: "file.safetensors"))
  var files: [String]

  @Option(help: "The largest relative error that passes.")
  var tolerance = 1e-4

  @Flag(help: "Compute in double, to tell rounding from a mistake.")
  var double = false

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var common: CommonOptions

  func validate() throws {
    if files.isEmpty { throw ValidationError("give at least one reference file") }
    if !(tolerance >= 0) { throw ValidationError("--tolerance must be a number of at least 0") }
  }

  func run(_ call: Invocation) async throws -> ExitStatus {
    let verification = Verification(
      registry: try call.registry(), scalar: double ? .float64 : .float32, bound: tolerance)
    // What is not there is told before time is spent on the others.
    for path in files { _ = try MappedFile(path) }
    var passed = true
    var reports: [JSON] = []
    for path in files {
      let report = verification.report(on: path)
      passed = passed && report.passed
      if json {
        reports.append(Self.json(report))
        continue
      }
      let errors = Self.groups(report).map { "\($0.name) \(Format.significant($0.error, 2))" }
      let method = report.entry ?? report.method
      call.console.print("\(report.passed ? "ok    " : "FAILED")  \(path)  \(method)  \(errors.joined(separator: "  "))")
      for fault in report.faults { call.console.print("        \(fault)") }
      for check in report.checks {
        if case .unchecked = check.outcome { call.console.print("        \(check)") }
      }
      if !report.absent.isEmpty {
        call.console.print("        not stated by the file, so not compared: \(report.absent.joined(separator: ", "))")
      }
    }
    if json {
      call.console.print((["passed": .bool(passed), "files": .array(reports)] as JSON).text(indented: true))
    }
    return passed ? .ok : .failed
  }

  /// The largest error of each kind of result: y, dx, gradients, merged, initial, and what else a file states.
  private static func groups(_ report: GoldenReport) -> [(name: String, error: Double)] {
    var order: [String] = []
    var largest: [String: Double] = [:]
    for check in report.checks {
      guard let error = check.error else { continue }
      let prefix = check.tensor.prefix { $0 != "." }
      let name = prefix == "grad" ? "gradients" : String(prefix)
      if largest[name] == nil { order.append(name) }
      largest[name] = max(largest[name] ?? 0, error)
    }
    let known = ["y", "dx", "gradients", "merged", "initial"]
    let sorted = known.filter { largest[$0] != nil } + order.filter { !known.contains($0) }
    return sorted.map { ($0, largest[$0] ?? 0) }
  }

  private static func json(_ report: GoldenReport) -> JSON {
    [
      "file": .string(report.file), "method": .string(report.method), "entry": report.entry.map { .string($0) } ?? .null,
      "passed": .bool(report.passed), "failure": report.failure.map { .string($0) } ?? .null,
      "largest": .object(groups(report).map { JSON.Member($0.name, .double($0.error)) }),
      "absent": .array(report.absent.map { .string($0) }),
      "checks": .array(
        report.checks.map { check in
          [
            "tensor": .string(check.tensor), "passed": .bool(check.passed), "error": check.error.map { .double($0) } ?? .null,
            "text": .string("\(check)"),
          ]
        }),
    ]
  }
}
