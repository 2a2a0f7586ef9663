import PEFTKernel
import Registry
import Testing

@Suite struct RunFileTests {
  let scratch = try! Scratch()

  static let minimal = """
    base_model: model
    method: pair
    data: { train: train.jsonl }
    steps: 10
    output_dir: out

    """

  @Test func readsTheRunOfAnAdapter() throws {
    try scratch.put("model/adapter_config.json", "{}")
    let run = try scratch.run(
      """
      base_model: \(scratch.path)/model
      init_adapter: model
      data: { tokens: tokens.bin }
      optimizer: { name: adamw, lr: 5e-3, weight_decay: 0.0, schedule: constant }
      steps: 10
      batch_size: 2
      clip_grad_norm: null
      output_dir: out
      """)
    #expect(run.baseModel == scratch.path + "/model")
    #expect(run.initAdapter == scratch.path + "/model")
    #expect(run.method == nil)
    #expect(run.targets == nil)
    #expect(run.data.tokens == scratch.path + "/tokens.bin")
    #expect(run.data.train == nil)
    #expect(run.optimizer.name == "adamw")
    #expect(run.optimizer.lr == 5e-3)
    #expect(run.optimizer.options == ["betas": .list([.double(0.9), .double(0.999)]), "weight_decay": .double(0)])
    #expect(run.optimizer.schedule == .constant)
    #expect(run.steps == 10)
    #expect(run.epochs == nil)
    #expect(run.batchSize == 2)
    #expect(run.clipGradNorm == nil)
    #expect(run.outputDir == scratch.path + "/out")
  }

  @Test func pathsAreShownWithoutDetours() throws {
    let run = try scratch.run(
      Self.minimal.replacing("model: model", with: "model: ./data/../model").replacing("dir: out", with: "dir: a/../../out"))
    #expect(run.baseModel == scratch.path + "/model")
    #expect(!run.outputDir.contains("..") && run.outputDir.hasSuffix("/out"))
    let errors = try scratch.errors(Self.minimal.replacing("train.jsonl", with: "../none/../train.txt"))
    #expect(errors.count == 1 && !(errors.first ?? "..").contains(".."))
  }

  @Test func readsAFullRun() throws {
    let run = try scratch.run(
      """
      base_model: model
      from_scratch: true
      method: full
      data: { train: train.jsonl, packing: true, max_seq_len: 32 }
      optimizer: { name: adamw, lr: 5e-3, weight_decay: 0.0, schedule: constant }
      steps: 10
      batch_size: 2
      clip_grad_norm: null
      output_dir: out
      """)
    #expect(run.fromScratch)
    #expect(run.method?.trainable == TrainableSubset(roles: [], base: true))
    #expect(run.method?.hasAdapter == false)
    #expect(try run.selectSites(from: Fakes.sites).isEmpty)
  }

  @Test func fillsInDefaults() throws {
    let run = try scratch.run(Self.minimal)
    #expect(run.batchSize == 8)
    #expect(run.gradientAccumulation == 1)
    #expect(!run.activationCheckpointing)
    #expect(run.clipGradNorm == 1)
    #expect(run.seed == 0)
    #expect(run.data.lossOn == .completion)
    #expect(run.data.shuffle)
    #expect(!run.data.packing)
    #expect(run.data.maxSeqLen == nil)
    #expect(run.samples == nil)
    // The method's proposal stands where the file says nothing.
    #expect(run.optimizer.lr == 2e-4)
    #expect(run.optimizer.options["weight_decay"] == .double(0.01))
    #expect(
      try run.selectSites(from: Fakes.sites).map(\.id.path) == [
        "model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj",
      ])
  }

  @Test func replacesOptionsOfAnEntry() throws {
    let run = try scratch.run(
      Self.minimal.replacing("method: pair", with: "method: { use: pair, rank: 16, alpha: 1e1, init: { batches: 2 }, lr: .5 }"))
    let method = try #require(run.method)
    #expect(method.projection.options["rank"] == .int(16))
    #expect(method.projection.options["alpha"] == .double(10))
    #expect(method.initialization == Choice("spread", ["batches": .int(2), "gamma": .double(16)]))
    #expect(run.optimizer.lr == 0.5)
    #expect(run.optimizer.options["weight_decay"] == .double(0.01))
  }

  @Test func readsAMethodInFull() throws {
    let run = try scratch.run(
      Self.minimal.replacing(
        "method: pair",
        with: """
          method:
            projection: { use: pair, rank: 2 }
            init: false
            trainable: [factor-b]
            optimizer: { name: sgd, lr: 1 }
          """))
    let method = try #require(run.method)
    #expect(method.name == "inline")
    #expect(method.initialization.name == "spread")
    #expect(method.trainable.roles == ["factor-b"])
    #expect(run.optimizer.name == "sgd")
    #expect(run.targets == TargetSelector(.names(["all-linear"]), demand: .any))
    #expect(try run.selectSites(from: Fakes.sites).count == 14)
  }

  @Test(arguments: [
    minimal,
    """
    base_model: model
    method: { use: pair, rank: 3, init: true }
    target_modules: '.*\\.q_proj'
    exclude_modules: [model.layers.1.self_attn.q_proj]
    data: { train: train.jsonl, valid: valid.jsonl, loss_on: all, max_seq_len: 64, packing: true, shuffle: false }
    optimizer: { lr: 1e-3, schedule: cosine, warmup: 0.03, min_lr_ratio: 0.1, betas: [0.8, .95] }
    epochs: 2
    clip_grad_norm: null
    seed: 9
    eval_every: 5
    save_every: 7
    activation_checkpointing: true
    output_dir: out
    samples: { prompts: ["one: two", "#", "1"], temperature: 0.7, top_p: 0.9 }
    """,
    """
    base_model: model
    method: full
    data: { tokens: tokens.bin, shuffle: false, loss_on: all }
    epochs: 2
    output_dir: out
    """,
    """
    base_model: model
    method: pair
    data:
      train: train.jsonl
      split: { valid: 0.1, test: 0.05, seed: 3 }
      format: messages
      loss_on: last_turn
      group_by_length: true
      chat_template:
        begin: "<s>"
        default_system: "Be: kind\n"
        system: { before: "[S] " }
        user: { before: "[U]", after: "\n" }
        assistant: { after: "</s>\n" }
    optimizer: { lr: 1e-3 }
    epochs: 2
    eval_every: 5
    output_dir: out
    """,
    """
    base_model: model
    method: pair
    data:
      train: train.jsonl
      test: valid.jsonl
      chat_template_kwargs: { enable_thinking: false, date_string: "1 Jan 2025", n: 3, x: 1.5 }
    optimizer: { lr: 1e-3 }
    epochs: 2
    output_dir: out
    """,
    """
    base_model: model
    method: full
    data: { tokens: tokens.bin, valid: valid.jsonl, max_seq_len: 32 }
    epochs: 2
    output_dir: out
    """,
  ])
  func writesWhatItReadsBack(_ text: String) throws {
    let run = try scratch.run(text)
    var again = try RunFile.parse(run.resolvedText, path: "/elsewhere/run.yaml", registry: Fakes.registry())
    again.path = run.path
    #expect(again == run)
  }

  @Test func readsAFolderOfParts() throws {
    let parts = try scratch.folder("parts")
    for name in ["train.jsonl", "validation.json", "test.txt", "other.jsonl"] { try scratch.put("parts/" + name, "{}\n") }
    let run = try scratch.run(Self.minimal.replacing("train.jsonl", with: "parts"))
    #expect(run.data.train == parts + "/train.jsonl")
    #expect(run.data.valid == parts + "/validation.json")
    #expect(run.data.test == parts + "/test.txt")
    // What is named comes before what lies there.
    let own = try scratch.run(Self.minimal.replacing("train.jsonl }", with: "parts, valid: train.jsonl }"))
    #expect(own.data.valid == scratch.path + "/train.jsonl")
    // A part that is there is not cut off.
    #expect(
      try scratch.errors(Self.minimal.replacing("train.jsonl }", with: "parts, split: { valid: 0.5 } }"))
        == [
          "run.yaml:3:39: `data.split.valid` cuts off what is there already: the folder holds validation.json; leave one out"
        ])
    try scratch.put("parts/valid.jsonl", "")
    #expect(
      try scratch.errors(Self.minimal.replacing("train.jsonl", with: "parts"))
        == ["run.yaml:3:16: data.train: parts: holds valid.jsonl and validation.json; keep one, or name the file that is meant"])
    _ = try scratch.folder("none")
    #expect(
      try scratch.errors(Self.minimal.replacing("train.jsonl", with: "none"))
        == ["run.yaml:3:16: data.train: none: holds no train.jsonl, train.json or train.txt"])
  }

  @Test func sectionsOfDataAreHeldTogether() throws {
    func errors(_ data: String) throws -> [String] {
      try scratch.errors(Self.minimal.replacing("train: train.jsonl }", with: "train: train.jsonl, \(data) }"))
    }
    #expect(
      try errors("split: { valid: 0.6, test: 0.4 }")
        == ["run.yaml:3:36: `data.split` leaves nothing to learn from: give `valid`, `test` or both, together less than 1"])
    #expect(
      try errors("split: { seed: 3 }")
        == ["run.yaml:3:36: `data.split` cuts nothing off: give `valid`, `test` or both, together less than 1"])
    #expect(
      try errors("valid: valid.jsonl, split: { valid: 0.5 }")
        == ["run.yaml:3:65: `data.split.valid` cuts off what is there already: `data.valid` is given; leave one out"])
    #expect(
      try errors("shuffle: false, group_by_length: true")
        == ["run.yaml:3:62: `data.group_by_length` sorts anew what `data.shuffle: false` leaves in order; give one"])
    #expect(
      try errors("chat_template: { user: {} }")
        == ["run.yaml:3:44: `data.chat_template.assistant` is missing: an assistant turn; `after` is learned with its content"])
    #expect(
      try errors("chat_template: { user: {}, assistant: {}, default_system: x }")
        == ["run.yaml:3:44: `data.chat_template.default_system` needs `system`, the turn it stands in"])
    #expect(
      try errors("chat_template: { user: {}, assistant: {} }, chat_template_kwargs: { a: 1 }")
        == [
          "run.yaml:3:95: `data.chat_template_kwargs` is for the model's own template, and `data.chat_template` takes its place"
        ])
    #expect(
      try errors("chat_template_kwargs: { a: [1] }")
        == ["run.yaml:3:56: `data.chat_template_kwargs.a` is a list, but must be a text, a number or a truth value"])
    #expect(
      try errors("assistant_only_loss: true")
        == [
          "run.yaml:3:29: unknown key `assistant_only_loss` in `data`; did you mean `loss_on` (TRL calls it `assistant_only_loss`)?"
        ])
  }

  @Test func countsWarmUp() throws {
    var optimizer = try scratch.run(Self.minimal + "optimizer: { warmup: 0.03 }").optimizer
    #expect(optimizer.warmupSteps(of: 100) == 3)
    #expect(optimizer.warmupSteps(of: 10) == 1)
    optimizer.warmup = 20
    #expect(optimizer.warmupSteps(of: 10) == 20)
  }
}
