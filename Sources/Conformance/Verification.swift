import Engine
import Files
import PEFTKernel
import Registry

/// Runs reference files: builds the method they name through the registry, as training does, and compares what it
/// computes with what an independent oracle stated. A tensor of a file that nothing asks for fails it.
public struct Verification: Sendable {
  public let registry: MethodRegistry
  /// `.float32` as in work, `.float64` to tell rounding from a mistake.
  public let scalar: ScalarType
  /// The largest relative error that passes.
  public let bound: Double

  public init(registry: MethodRegistry, scalar: ScalarType = .float32, bound: Double = 1e-4) {
    self.registry = registry
    self.scalar = scalar
    self.bound = bound
  }

  /// The report on a file. A file that cannot be read or names no known method is a failed report.
  public func report(on path: String) -> GoldenReport {
    do { return report(on: try GoldenFile(path: path), named: path) } catch {
      return GoldenReport(file: path, failure: "\(error)")
    }
  }

  public func report(on file: GoldenFile, named name: String) -> GoldenReport {
    var report = GoldenReport(file: name, method: file.method)
    if let fault = file.notFinite {
      report.failure = fault
      return report
    }
    var file = file
    (file.tensors, file.integers) = (file.tensors.fresh, file.integers.fresh)
    guard let reader = (registry.axes.goldens + [.calibration]).first(where: { $0.reads(file) }) else {
      report.failure = "no method here reads reference files of `\(file.method)`"
      return report
    }
    do throws(Refusal) {
      // Read twice: what a pass meets must be in its scalar, what a start is compared with stays as exact as the file.
      let problem = try reader.read(file)
      if case .computation(let computation) = problem {
        report.entry = computation.entry
        // What a file states of a computation stands under any name; `grad.…` are inputs of an optimizer's steps.
        let stated = file.results.filter { !$0.hasPrefix("grad.") }
        let names = Set(stated + computation.results.keys + computation.unchecked.keys).sorted()
        report.checks = names.map {
          GoldenCheck(tensor: $0, outcome: GoldenRun.outcome(of: $0, in: file, computation), bound: bound)
        }
        guard !names.isEmpty else { throw Refusal("the file states no results") }
        report.checks += unread(file, by: computation.entry)
        return report
      }
      guard !file.results.isEmpty else { throw Refusal("the file states no results") }
      guard case .adapter(let stated) = problem, case .adapter(let working) = try reader.read(file.converted(to: scalar)) else {
        throw Refusal("the reader of \(file.method) reads a file in two ways")
      }
      report.entry = stated.entry
      var run = try GoldenRun(file: file, stated: stated, working: working, registry: registry, scalar: scalar)
      // The reader may know results that stand among what other methods are given.
      report.checks = Set(file.results + stated.expected.keys).sorted().map {
        GoldenCheck(tensor: $0, outcome: run.outcome(of: $0), bound: bound)
      }
      report.absent = (["y", "dx"] + stated.gradients.keys.sorted().map { "grad." + $0 }).filter { !file.results.contains($0) }
      report.checks += unread(file, by: stated.entry)
    } catch {
      report.failure = error.description
    }
    return report
  }

  private func unread(_ file: GoldenFile, by entry: String) -> [GoldenCheck] {
    file.unread.map { GoldenCheck(tensor: $0, outcome: .failed("\(entry) has no use for it"), bound: bound) }
  }
}
