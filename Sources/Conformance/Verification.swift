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
    guard let reader = registry.axes.goldens.first(where: { $0.reads(file) }) else {
      report.failure = "no method here reads reference files of `\(file.method)`"
      return report
    }
    guard !file.results.isEmpty else {
      report.failure = "the file states no results"
      return report
    }
    do throws(Refusal) {
      // Read twice: what a pass meets must be in its scalar, what a start is compared with stays as exact as the file.
      let stated = try reader.read(file)
      let working = try reader.read(file.converted(to: scalar))
      report.entry = stated.entry
      var run = try GoldenRun(file: file, stated: stated, working: working, registry: registry, scalar: scalar)
      report.checks = file.results.map { GoldenCheck(tensor: $0, outcome: run.outcome(of: $0), bound: bound) }
      report.absent = (["y", "dx"] + stated.gradients.keys.sorted().map { "grad." + $0 }).filter { !file.results.contains($0) }
      report.checks += file.unread.map {
        GoldenCheck(tensor: $0, outcome: .failed("\(stated.entry) has no use for it"), bound: bound)
      }
    } catch {
      report.failure = error.description
    }
    return report
  }
}
