import Catalog
import Engine
import Files
import PEFTKernel
import Testing

@testable import Conformance

@Suite struct VerificationTests {
  @Test func everyReferenceFileAgrees() throws {
    let folder = fixtures()
    let verification = Verification(registry: try Catalog.registry())
    let files = try Folder.names(in: folder).filter { $0.hasSuffix(".safetensors") }
    #expect(files.count == 86)
    for file in files {
      let report = verification.report(on: Folder.join(folder, file))
      #expect(report.faults == [], "\(file)")
      // m − n of DoRA is known to no more digits than the file's floats leave of it.
      let bound = file == "dora-factored.2.safetensors" ? 1e-4 : 1e-5
      #expect((report.worst?.error ?? 1) < bound, "\(file): \(report.checks)")
    }
  }

  /// Metrics are no method's, and are held to their references all the same.
  @Test func calibrationErrorsAreChecked() throws {
    let verification = Verification(registry: try Catalog.registry())
    var file = try GoldenFile(path: Folder.join(fixtures(), "calibration_metrics.1.safetensors"))
    let names = ["ace", "ace_classwise", "brier", "cece", "ece", "mce", "tace"].map { "expect_" + $0 }
    let report = verification.report(on: file, named: "calibration")
    #expect(report.passed && report.checks.map(\.tensor) == names)
    for name in names { file.tensors[name] = Tensor([0.9], shape: [1], .float64) }
    #expect(verification.report(on: file, named: "spoiled").checks.allSatisfy { !$0.passed })
    file.tensors["probs"] = Tensor([0.5, 0.6], shape: [1, 2], .float64)
    file.integers["labels"] = [0]
    #expect(verification.report(on: file, named: "no softmax").failure?.hasPrefix("the probabilities of example 1 sum") == true)
  }

  /// In double only the rounding of the files themselves is left.
  @Test func doubleAgreesToTheFilesRounding() throws {
    let verification = Verification(registry: try Catalog.registry(), scalar: .float64)
    for name in ["lora.2", "queryable_lora.2", "unilora.1", "lora-ga.1"] {
      let report = verification.report(on: Folder.join(fixtures(), name + ".safetensors"))
      #expect(report.faults == [])
      for check in report.checks where !check.tensor.hasPrefix("initial.") {
        #expect((check.error ?? 1) < 1e-6, "\(name) \(check)")
      }
    }
  }

  @Test func aWrongNumberIsFoundInItsTensor() throws {
    let registry = try Catalog.registry()
    let file = try GoldenFile(path: Folder.join(fixtures(), "lora.0.safetensors"))
    for name in file.results {
      var spoiled = file
      var values = try file.tensor(name).values
      values[values.count / 2] += 0.01
      spoiled.tensors[name] = Tensor(values, shape: try file.tensor(name).shape, .float64)
      let report = Verification(registry: registry).report(on: spoiled, named: "spoiled")
      #expect(report.checks.filter { !$0.passed }.map(\.tensor) == [name])
    }
  }

  @Test func resultsNobodyComputesFail() throws {
    var file = try GoldenFile(path: Folder.join(fixtures(), "lora.0.safetensors"))
    file.tensors["initial.surprise"] = .zeros([1])
    file.tensors["given.expect_surprise"] = .zeros([1])
    file.tensors["grad.surprise"] = .zeros([1])
    file.integers["initial.mask"] = [1, 2]
    let report = Verification(registry: try Catalog.registry()).report(on: file, named: "surprising")
    #expect(
      report.checks.filter { !$0.passed }.map(\.tensor) == [
        "given.expect_surprise", "grad.surprise", "initial.mask", "initial.surprise",
      ])
  }

  @Test func tensorsNobodyAsksForFail() throws {
    var file = try GoldenFile(path: Folder.join(fixtures(), "lora.0.safetensors"))
    file.tensors["trainable.foo"] = .zeros([1])
    file.tensors["foo"] = .zeros([1])
    file.integers["frozen.foo"] = [1]
    let report = Verification(registry: try Catalog.registry()).report(on: file, named: "strange")
    #expect(
      report.faults == ["foo", "frozen.foo", "trainable.foo"].map { "\($0): lora has no use for it" })
  }

  @Test func whatAFileDoesNotStateIsTold() throws {
    let registry = try Catalog.registry()
    var file = try GoldenFile(path: Folder.join(fixtures(), "lora.0.safetensors"))
    #expect(Verification(registry: registry).report(on: file, named: "whole").absent == [])
    for name in file.results where name != "y" { file.tensors[name] = nil }
    let report = Verification(registry: registry).report(on: file, named: "poor")
    #expect(report.passed && report.absent == ["dx", "grad.lora_A", "grad.lora_B"])
  }

  @Test func numbersThatAreNoneAreTold() throws {
    let registry = try Catalog.registry()
    for name in ["y", "x", "trainable.lora_A", "initial.delta"] {
      var file = try GoldenFile(path: Folder.join(fixtures(), "lora.0.safetensors"))
      var values = try file.tensor(name).values
      values[3] = .nan
      file.tensors[name] = Tensor(values, shape: try file.tensor(name).shape, .float64)
      let report = Verification(registry: registry).report(on: file, named: "spoiled")
      #expect(report.faults == ["the file's own \(name) holds nan, at 3 of \(values.count)"])
    }
  }

  @Test func whatCannotRunSaysWhy() throws {
    let verification = Verification(registry: try Catalog.registry())
    let good = try GoldenFile(path: Folder.join(fixtures(), "lora.0.safetensors"))
    func failure(_ change: (inout GoldenFile) -> Void) -> String {
      var file = good
      change(&file)
      let report = verification.report(on: file, named: "changed")
      #expect(!report.passed)
      return report.faults.joined(separator: "; ")
    }
    #expect(failure { $0.method = "no-such-method" }.contains("no-such-method"))
    #expect(failure { $0.config["rnak"] = .int(2) }.contains("rnak"))
    #expect(failure { $0.config["r"] = .int(5) }.contains("lora_A"))
    #expect(failure { $0.tensors["weight"] = nil }.contains("weight"))
    #expect(failure { $0.tensors["x"] = .zeros([5, 3], .float64) }.contains("20 inputs"))
    #expect(failure { $0.tensors["dy"] = .zeros([5, 3], .float64) }.contains("dy has shape"))
    #expect(failure { $0.tensors["y"] = .zeros([5, 3], .float64) }.contains("y: has shape"))
    #expect(failure { $0.tensors = [:] }.contains("no tensor weight"))
    #expect(verification.report(on: Folder.join(fixtures(), "none.safetensors")).failure?.contains("none.safetensors") == true)
  }

  @Test func notANumberNeverPasses() {
    #expect(relativeError(of: [.nan], from: [1], floor: 0) == .infinity)
    #expect(relativeError(of: [1], from: [.nan], floor: 0) == .infinity)
    #expect(relativeError(of: [1, 2], from: [1], floor: 0) == .infinity)
    #expect(relativeError(of: [3], from: [4], floor: 0) == 0.25)
  }
}

/// The folder of reference files.
func fixtures(_ here: String = #filePath) -> String {
  here.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/Fixtures"
}
