import Files
import Foundation
import PEFTCLI
import Testing

/// What only a process of its own can show: signals, limits, exit codes. Runs the `peft` that was built beside the tests.
@Suite struct ProcessTests {
  private func program() throws -> String {
    let folder = Folder.split(Bundle.main.executablePath ?? "").folder
    return try #require([folder, Bundle.main.bundlePath].map { $0 + "/peft" }.first { Folder.isFile($0) })
  }

  /// Starts `peft` in the scratch folder, its standard error going to the file `errors`.
  private func start(_ scratch: Scratch, _ arguments: [String], under limit: String = "true") throws -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = ["-c", "\(limit) && exec \"$0\" \"$@\" 2> errors", try program()] + arguments
    process.currentDirectoryURL = URL(fileURLWithPath: scratch.path)
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    return process
  }

  @Test(arguments: [SIGINT, SIGTERM])
  func signalsLetTheStepFinishAndTheRunGoOn(_ signal: Int32) async throws {
    let scratch = try Scratch()
    let text = try runText(["steps: 2": "steps: 150", "method: lora": "method: { use: lora, dropout: 0.1 }"])
    try scratch.put("run.yaml", text)
    try scratch.put("whole.yaml", text.replacing("output_dir: out", with: "output_dir: whole"))
    let process = try start(scratch, ["train", "run.yaml"])
    // Without a suspension: the threads that would wake this test up are busy with others.
    while process.isRunning, (try? metrics(scratch["out"]).count) ?? 0 < 2 { usleep(2000) }
    // Twice, as `timeout` does it: to the process and to its group.
    kill(process.processIdentifier, signal)
    usleep(1000)
    kill(process.processIdentifier, signal)
    process.waitUntilExit()
    #expect(process.terminationReason == .exit && process.terminationStatus == 75)
    let steps = try metrics(scratch["out"]).count
    #expect((2..<150).contains(steps))
    let notes = try TextFile.read(scratch["errors"])
    #expect(notes.contains("peft: stopped after step \(steps) of 150; everything is saved\n"))
    #expect(notes.hasSuffix("/peft resume out\n"))
    #expect(!Folder.exists(scratch["out/adapter"]))
    try await scratch.expectRefusal(
      "train", "@run.yaml", "-q", status: .cannotCreate,
      "out: holds a run that was stopped; go on with `peft resume out`, or begin anew with --overwrite")

    #expect(await scratch.peft("resume", "@out", "-q").status == .ok)
    #expect(await scratch.peft("train", "@whole.yaml", "-q").status == .ok)
    let files = ["out", "whole"].map { scratch["\($0)/adapter/adapter_model.safetensors"] }
    #expect(try SHA256.hex(ofFile: files[0]) == SHA256.hex(ofFile: files[1]))
    let losses = try ["out", "whole"].map { try metrics(scratch[$0]).map { $0["loss"]?.double } }
    #expect(losses[0] == losses[1] && losses[0].count == 150)
  }

  @Test func aComparisonIsStoppedAndGoesOn() async throws {
    let scratch = try Scratch()
    try scratch.put(
      "run.yaml", runText(["steps: 2": "steps: 150", "tokens.safetensors }": "tokens.safetensors, valid: tokens.safetensors }"]))
    let arguments = ["compare", "run.yaml", "--methods", "lora,full", "--rates", "1e-3", "--seeds", "1", "--output", "out"]
    let process = try start(scratch, arguments)
    // The base's scores, and the first trial's result.
    func results() -> Int { ((try? Folder.names(in: scratch["out/trials"])) ?? []).count { $0.hasSuffix(".json") } }
    while process.isRunning, results() < 2 { usleep(2000) }
    kill(process.processIdentifier, SIGINT)
    process.waitUntilExit()
    #expect(process.terminationReason == .exit && process.terminationStatus == 75)
    let notes = try TextFile.read(scratch["errors"])
    #expect(notes.contains("peft: stopped with 1 of 2 trials done; everything is saved\n"), "\(notes)")
    #expect(notes.hasSuffix("peft \(arguments.joined(separator: " "))\n"), "\(notes)")
    #expect(!Folder.exists(scratch["out/comparison.html"]))
    // From where it stopped: one trial is there.
    let again = try start(scratch, arguments)
    again.waitUntilExit()
    #expect(again.terminationStatus == 0 && Folder.isFile(scratch["out/comparison.html"]))
    #expect(try TextFile.read(scratch["errors"]).contains("2 trials of 150 steps, 1 of them done before"))
  }

  @Test func aFolderBelongsToOneRunAtATime() async throws {
    let scratch = try Scratch()
    try scratch.put("run.yaml", runText(["steps: 2": "steps: 100000\nsave_every: 1"]))
    let process = try start(scratch, ["train", "run.yaml", "-q"])
    while process.isRunning, (try? metrics(scratch["out"]).count) ?? 0 < 3 { usleep(2000) }
    for arguments in [["train", "@run.yaml"], ["train", "@run.yaml", "--overwrite"], ["resume", "@out"]] {
      let outcome = await scratch.peft(arguments)
      #expect(outcome.status == .cannotCreate)
      #expect(outcome.notes.contains("out: another process is working there; wait until it is done, or use another folder\n"))
    }
    #expect(process.isRunning)
    // A killed process locks nothing.
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    try scratch.put("run.yaml", runText())
    #expect(await scratch.peft("train", "@run.yaml", "-q").notes.contains("out: holds a run that was stopped; go on with"))
    #expect(await scratch.peft("train", "@run.yaml", "-q", "--overwrite").status == .ok)
  }

  @Test func aStartCanBeStopped() throws {
    let scratch = try Scratch()
    try scratch.put("run.yaml", runText(["method: lora": "method: { use: lora-ga, rank: 2, batches: 65536 }"]))
    let process = try start(scratch, ["train", "run.yaml"])
    while process.isRunning, (try? TextFile.read(scratch["errors"]).contains("looking at gradients 1/65536")) != true {
      usleep(2000)
    }
    kill(process.processIdentifier, SIGINT)
    process.waitUntilExit()
    #expect(process.terminationReason == .exit && process.terminationStatus == 130)
    #expect(
      try TextFile.read(scratch["errors"])
        .hasSuffix("peft: error: stopped before the first step; there is nothing to go on from\n"))
    #expect(!Folder.exists(scratch["out"]))
  }

  @Test func filesThatMayNotGrowLeaveNothing() async throws {
    let scratch = try Scratch()
    let before = try scratch.listing
    let adapter = Fixtures.run("llama-tiny/lora/adapter_final")
    let process = try start(
      scratch, ["merge", "--model", "model", "--adapter", adapter, "--out", "merged"], under: "ulimit -f 64")
    process.waitUntilExit()
    #expect(process.terminationReason == .exit && process.terminationStatus == PEFTCLI.ExitStatus.io.rawValue)
    #expect(try TextFile.read(scratch["errors"]).contains("a file may not grow that large here"))
    try Folder.remove(scratch["errors"])
    #expect(try scratch.listing == before)
  }

  @Test func aRunThatCannotSaveLeavesNothingHalfWritten() throws {
    let scratch = try Scratch()
    try scratch.put("run.yaml", runText())
    let process = try start(scratch, ["train", "run.yaml", "-q"], under: "ulimit -f 64")
    process.waitUntilExit()
    #expect(process.terminationReason == .exit && process.terminationStatus == PEFTCLI.ExitStatus.io.rawValue)
    let errors = try TextFile.read(scratch["errors"])
    #expect(errors.contains("state.safetensors: cannot be written: a file may not grow that large here"), "\(errors)")
    #expect(try scratch.listing.filter { $0.contains("partial") || $0.contains("adapter") || $0.contains("step-") }.isEmpty)
  }

  @Test func exitCodesAreTheDocumentedOnes() async throws {
    let scratch = try Scratch()
    for (arguments, code) in [
      (["methods"], 0), (["verify", "--tolerance", "0", Fixtures.golden("lora.0")], 1), (["nonsense"], 64),
      (["inspect", Fixtures.tests], 66), (["methods", "none"], 78),
    ] as [([String], Int32)] {
      let process = try start(scratch, arguments)
      process.waitUntilExit()
      #expect(process.terminationReason == .exit && process.terminationStatus == code, "\(arguments)")
    }
  }
}
