import Files
import JSON
import PEFTCLI
import Testing

/// `compare`, from the command line to the files it leaves.
@Suite struct CompareTests {
  private static let valid = "valid: tokens.safetensors }"

  private func scratch() throws -> Scratch {
    let scratch = try Scratch()
    try scratch.put("run.yaml", runText(["tokens.safetensors }": "tokens.safetensors, " + Self.valid]))
    return scratch
  }

  private let arguments = ["compare", "@run.yaml", "--output", "@out", "--rates", "1e-3,1e-2", "--seeds", "2"]

  @Test func aComparisonLeavesItsReport() async throws {
    let scratch = try scratch()
    try scratch.put("a<b>&'.yaml", "use: lora\nrank: 2\n")
    let outcome = await scratch.peft(arguments + ["--methods", "lora,rslora", "--methods", "@a<b>&'.yaml"])
    #expect(outcome.status == .ok, "\(outcome.notes)")
    #expect(outcome.notes.hasPrefix("9 trials of 2 steps; rates 0.001, 0.01\ntrial 1/9  lora  lr 0.001  seed 0: validation "))
    for word in ["minus lora", "rslora", "a<b>&'", "forgetting is not measured", "out/comparison.html"] {
      #expect(outcome.printed.contains(word), "\(outcome.printed)")
    }
    let page = try TextFile.read(scratch["out/comparison.html"])
    try expectWellFormed(page)
    #expect(page.contains("a&lt;b&gt;&amp;&#39;") && !page.contains("a<b>"))
    for word in ["http:", "https:", "//", "src=", "href=", "url(", "@import", "<script", "<link", "<img"] {
      #expect(!page.contains(word), "\(word)")
    }
    #expect(page.contains("prefers-color-scheme: dark") && page.contains("<polyline") && page.contains("compare "))
    let json = try JSON(parsing: TextFile.read(scratch["out/comparison.json"]))
    #expect(json["format"] == "peft-comparison-1" && json["trials"]?.array?.count == 9 && json["baseline"] == "lora")
    let csv = try TextFile.read(scratch["out/comparison.csv"]).split(separator: "\r\n")
    #expect(csv.count == 4 && csv[0].hasPrefix("method,entry,optimizer,rate,") && csv[1].hasPrefix("lora,lora,adamw,0.0"))
    #expect(csv[3].hasPrefix("a<b>&',lora,adamw,"))
    let held = try #require(json["methods"]?.array?.first?["held_out"]?["mean"]?.double)
    #expect(csv[1].split(separator: ",", omittingEmptySubsequences: false)[7] == "\(held)")

    // Again: nothing is left to train, and the report is the same but for the clock's share.
    let again = await scratch.peft(arguments + ["--methods", "lora,rslora,\(scratch["a<b>&'.yaml"])", "--json"])
    #expect(again.status == .ok && again.notes.isEmpty)
    let line = try JSON(parsing: again.printed)
    #expect(line["event"] == "comparison" && line["comparison"]?["trials"] == json["trials"])
  }

  @Test func whatDivergesIsShownAndEverythingDivergingFails() async throws {
    let scratch = try scratch()
    let outcome = await scratch.peft(
      "compare", "@run.yaml", "--output", "@out", "--rates", "1e30", "--methods", "lora", "--seeds", "1")
    #expect(outcome.status == .failed && outcome.printed.contains("diverged"), "\(outcome.printed)")
    try expectWellFormed(try TextFile.read(scratch["out/comparison.html"]))
  }

  @Test func optimizersCrossMethods() async throws {
    let scratch = try scratch()
    let outcome = await scratch.peft(
      "compare", "@run.yaml", "--output", "@out", "--rates", "1e-3", "--methods", "lora,rslora@adamw", "--seeds", "1",
      "--optimizers", "adamw", "-q")
    #expect(outcome.status == .ok && outcome.notes.isEmpty, "\(outcome.notes)")
    #expect(outcome.printed.contains("lora@adamw") && outcome.printed.contains("rslora@adamw"))
  }

  @Test func whatCannotBeComparedIsRefused() async throws {
    let scratch = try scratch()
    func refused(
      _ methods: String, _ more: [String] = [], status: PEFTCLI.ExitStatus = .configuration, saying message: String
    )
      async throws
    {
      let before = try scratch.listing
      let outcome = await scratch.peft(arguments + ["--methods", methods] + more)
      #expect(outcome.status == status && outcome.notes == "peft: error: \(message)\n", "\(outcome.notes)")
      #expect(try scratch.listing == before)
    }
    try await refused("lora,rslra", saying: "rslra: there is no method `rslra`; did you mean `rslora`?")
    try await refused("lora,lora", saying: "`lora` stands twice; name every contestant once")
    try await refused("lora,,rslora", saying: "`` names no method; write names with commas between them")
    try await refused("lora@adam", saying: "lora@adam: unknown optimizer `adam`; did you mean `adamw`?")
    try await refused("lora:rnk=2", saying: "lora:rnk=2: unknown key `rnk` in `method`; did you mean `rank`?")
    try await refused("lora", ["--baseline", "full"], saying: "the baseline `full` does not take part; name one of lora")
    try await refused("lora", ["--held-out", "@none"], status: .missingInput, saying: "none: there is no such file")
    try await refused(
      scratch["none.yaml"], status: .missingInput, saying: "none.yaml: cannot be read (No such file or directory)")
    try scratch.put("other.yaml", "method: lora\nsteps: 3\n")
    try await refused(
      scratch["other.yaml"],
      saying:
        "other.yaml:2:1: `steps` cannot differ between the methods of a comparison; known: method, optimizer, target_modules, "
        + "exclude_modules, layers_to_transform, modules_to_save, bias")
    try scratch.put("run.yaml", runText())
    try await refused(
      "lora",
      saying: "run.yaml:3:7: a comparison needs `data.valid`: learning rates are chosen on it; name a file of examples there")
  }

  @Test func numbersThatMakeNoSenseAreUsageErrors() async throws {
    let scratch = try scratch()
    for (more, word) in [
      (["--seeds", "0"], "--seeds must be at least 1"), (["--rates", "1e-3,fast"], "'fast' is no positive number"),
      (["--rates", "0"], "'0' is no positive number"), (["--selection-seeds", "4"], "--selection-seeds must be from 1"),
      (["--eval-every", "0"], "--eval-every must be at least 1"),
    ] {
      let outcome = await scratch.peft(["compare", "@run.yaml", "--output", "@out", "--methods", "lora"] + more)
      #expect(outcome.status == .usage && outcome.notes.contains(word), "\(outcome.notes)")
    }
    #expect(await scratch.peft("compare", "@run.yaml", "--output", "@out").status == .usage)
    #expect(!Folder.exists(scratch["out"]))
  }

  @Test func anotherFoldersContentIsLeftAlone() async throws {
    let scratch = try scratch()
    try scratch.put("out/thesis.txt", "mine")
    let outcome = await scratch.peft(arguments + ["--methods", "lora", "--overwrite"])
    #expect(outcome.status == .cannotCreate)
    #expect(
      outcome.notes == "peft: error: DIR/out: holds 'thesis.txt', which belongs to no comparison; choose another --output\n"
        || outcome.notes == "peft: error: out: holds 'thesis.txt', which belongs to no comparison; choose another --output\n")
    #expect(try Folder.names(in: scratch["out"]) == ["thesis.txt"])
  }

  /// Every element that is opened is closed, in order, and no attribute or text breaks out.
  private func expectWellFormed(_ page: String) throws {
    var open: [Substring] = []
    var rest = page[...]
    try #require(rest.hasPrefix("<!DOCTYPE html>"))
    rest = rest.dropFirst("<!DOCTYPE html>".count)
    while let start = rest.firstIndex(of: "<") {
      let text = rest[..<start]
      if open.last != "style" { #expect(!text.contains(">"), "\(text)") }
      let end = try #require(rest[start...].firstIndex(of: ">"))
      let tag = rest[rest.index(after: start)..<end]
      rest = rest[rest.index(after: end)...]
      if tag.hasPrefix("/") {
        #expect(open.popLast() == tag.dropFirst())
      } else if !tag.hasSuffix("/") {
        open.append(tag.prefix { $0 != " " })
      }
      #expect(tag.filter { $0 == "\"" }.count.isMultiple(of: 2))
    }
    #expect(open.isEmpty)
  }
}
