import JSON
import PEFTKernel
import Registry
import Testing

@Suite struct MethodRegistryTests {
  let registry = try! Fakes.registry()

  @Test func readsEntries() throws {
    let entry = try registry.entry(named: "pair")
    #expect(entry.paper == "arXiv:0000.00000")
    #expect(
      entry.projection
        == Choice(
          "pair",
          ["rank": .int(4), "alpha": .double(8), "scaling": .string("standard"), "bias": .bool(false), "gamma": .double(1)]))
    #expect(entry.initialization == Choice("spread", ["batches": .int(64), "gamma": .double(16)]))
    #expect(entry.trainable == TrainableSubset(roles: ["factor-a", "factor-b"]))
    #expect(entry.targets == ["attention.query", "attention.qkv"])
    #expect(entry.optimizer.learningRate == 2e-4)
    #expect(entry.optimizer.options["weight_decay"] == .double(0.01))
    _ = try registry.assemble(entry)
    _ = try registry.rule(entry.optimizer.name, options: entry.optimizer.options)
  }

  @Test func refusesUnknownNames() {
    let error = #expect(throws: Refusal.self) { try registry.entry(named: "paire") }
    #expect(error?.reason == "there is no method `paire`; did you mean `pair`?")
    #expect(throws: Refusal("unknown optimizer `adamv`; did you mean `adamw`?")) { try registry.rule("adamv") }
  }

  @Test func overridesByAnyName() throws {
    let entry = try registry.entry(
      "pair",
      overriding: [
        "r": .int(2), "lora_alpha": .int(32), "use_rslora": .bool(true), "batches": .int(3), "weight_decay": .double(0.5),
      ])
    #expect(entry.projection.options["rank"] == .int(2))
    #expect(entry.projection.options["alpha"] == .double(32))
    #expect(entry.projection.options["scaling"] == .string("root"))
    #expect(entry.initialization.options["batches"] == .int(3))
    #expect(entry.optimizer == OptimizerChoice("adamw", learningRate: 2e-4, options: entry.optimizer.options))
    #expect(entry.optimizer.options["weight_decay"] == .double(0.5))
    #expect(try registry.entry("pair", overriding: ["init": .string("fill")]).initialization == Choice("fill"))
    #expect(try registry.entry("pair", overriding: ["init": .bool(false)]).initialization.name == "spread")
    #expect(
      try registry.entry("pair", overriding: ["init": .map(["gamma": .int(2)])]).initialization.options["gamma"] == .double(2))
    #expect(try registry.entry("pair", overriding: [:]) == registry.entry(named: "pair"))
    // Another projection is no longer what PEFT's files call this one.
    let typed = try registry.overriding(registry.entry(named: "pair"), ["peft_type": .string("LORA")])
    #expect(try registry.overriding(typed, ["projection": .map(["use": .string("pair"), "rank": .int(2)])]).peftType == "LORA")
    #expect(try registry.overriding(typed, ["projection": .string("none")]).peftType == nil)
  }

  @Test(
    arguments: [
      (["nope": OptionValue.int(1)], "unknown key `nope`; known: "),
      (["gamma": .int(1)], "`gamma` is an option of projection and init; write `projection: {gamma: …}` or `init: {gamma: …}`"),
      (["rank": .int(1), "r": .int(2)], "`rank` is given twice, once as `rank`"),
      (["alpha": .double(.nan)], "`alpha` is the number .nan, but must be a number in (0.0, 1000000.0]"),
      (["rank": .string("2")], "`rank` is the string '2', but must be an integer from 1 to 1024"),
      (["rank": .int(1), "bias": .bool(true)], "pair: a bias needs a rank above 1"),
    ] as [([String: OptionValue], String)])
  func refusesOverrides(_ options: [String: OptionValue], _ reason: String) {
    let error = #expect(throws: Refusal.self) { try registry.entry("pair", overriding: options) }
    #expect(error?.reason.hasPrefix("method `pair`: " + reason) == true, "\(error?.reason ?? "")")
  }

  @Test func roundTripsThroughJSON() throws {
    for entry in registry.entries.values {
      let text = registry.json(of: entry).text(indented: true)
      #expect(try registry.entry(from: JSON(parsing: text), place: "adapter_config.json") == entry)
    }
    let error = #expect(throws: Refusal.self) {
      try registry.entry(
        from: ["name": "x", "projection": ["use": "pair", "rank": -1], "trainable": ["base"]], place: "config.json")
    }
    #expect(error?.reason == "config.json: `projection.rank` is the integer -1, but must be an integer from 1 to 1024")
  }

  @Test func readsFoldersOfAUser() throws {
    let scratch = try Scratch()
    let folder = try scratch.folder("methods")
    try scratch.put("methods/mine.yaml", "name: mine\nprojection: {use: pair, rank: 3}\ntrainable: [factor-b]\n")
    try scratch.put("methods/notes.txt", "not read")
    let registry = try MethodRegistry(
      plugins: [Fakes.plugin], entries: [EntrySource(file: "pair.yaml", text: Fakes.entry)], folders: [folder])
    let mine = try registry.entry(named: "mine")
    #expect(mine.projection.options["rank"] == .int(3))
    #expect(mine.initialization.name == "fill")
    #expect(mine.targets == ["all-linear"])
    #expect(mine.optimizer.name == "adamw")
    #expect(registry.entries.keys.sorted() == ["mine", "pair"])
  }

  @Test func reportsEveryFaultOfEveryEntry() throws {
    let scratch = try Scratch()
    let folder = try scratch.folder("methods")
    try scratch.put("methods/a.yaml", "name: pair\nprojection: pair\ntrainable: [factor-b]\n")
    try scratch.put("methods/b.yaml", "nam: b\nprojection: {use: peir, rank: 3}\ntrainable: [factors]\n")
    try scratch.put("methods/c.yaml", "name: c\nname: d\nprojection: {use: pair, r: 3}\ntrainable: [core]\noptimizer: adamx\n")
    let error = #expect(throws: ConfigurationErrors.self) {
      try MethodRegistry(
        plugins: [Fakes.plugin], entries: [EntrySource(file: "pair.yaml", text: Fakes.entry)],
        folders: [folder, scratch.path + "/none"])
    }
    #expect(
      error?.description.replacing(scratch.path + "/", with: "") == """
        none: cannot be listed (No such file or directory)
        methods/a.yaml:1:7: the method `pair` is already defined in pair.yaml; give this one another name
        methods/b.yaml:1:1: unknown key `nam`; did you mean `name`?
        methods/b.yaml:1:1: `name` is missing: what it goes by
        methods/b.yaml:2:19: unknown projection `peir`; did you mean `pair`?
        methods/b.yaml:3:13: unknown role `factors` in `trainable`; did you mean `factor-a`?
        methods/c.yaml:2:1: duplicate key 'name' (first at 1:1)
        methods/c.yaml:3:25: unknown key `r` in `projection`; did you mean `rank` (peft calls it `r`)?
        methods/c.yaml:5:12: unknown optimizer `adamx`; did you mean `adamw`?
        """)
  }
}
