import Files
import PEFTKernel
import Registry
import Testing

/// The exact words of every kind of error: they are what a user has to go on.
@Suite struct RunFileErrorTests {
  let scratch = try! Scratch()

  /// The errors of the smallest run file with `lines` added from its sixth line on.
  func errors(adding lines: String) throws -> [String] { try scratch.errors(RunFileTests.minimal + lines) }

  func errors(method: String) throws -> [String] {
    try scratch.errors(RunFileTests.minimal.replacing("method: pair", with: "method: \(method)"))
  }

  @Test func unknownKey() throws {
    #expect(try errors(adding: "bach_size: 2") == ["run.yaml:6:1: unknown key `bach_size`; did you mean `batch_size`?"])
    #expect(try errors(adding: "lr: 2") == ["run.yaml:6:1: unknown key `lr`; did you mean `optimizer.lr`?"])
    let known = try errors(adding: "samples: { prompts: [a], xyz: 1 }")
    #expect(
      known == ["run.yaml:6:26: unknown key `xyz` in `samples`; known: prompts, max_new_tokens, temperature, top_p"])
    #expect(
      try errors(adding: "optimizer: { weight_decy: 1 }")
        == ["run.yaml:6:14: unknown key `weight_decy` in `optimizer`; did you mean `weight_decay`?"])
  }

  @Test func namesOfOtherPrograms() throws {
    #expect(
      try errors(adding: "micro_batch_size: 2")
        == ["run.yaml:6:1: unknown key `micro_batch_size`; did you mean `batch_size` (axolotl calls it `micro_batch_size`)?"])
    #expect(
      try errors(adding: "max_seq_length: 2") == [
        "run.yaml:6:1: unknown key `max_seq_length`; did you mean `data.max_seq_len` (mlx-lm and TRL call it `max_seq_length`)?"
      ])
    #expect(
      try errors(adding: "optimizer: { learning_rate: 1 }") == [
        "run.yaml:6:14: unknown key `learning_rate` in `optimizer`; did you mean `lr` (axolotl, LLaMA-Factory, TRL and mlx-lm call it `learning_rate`)?"
      ])
    #expect(
      try errors(adding: "lora_r: 2") == [
        "run.yaml:6:1: unknown key `lora_r`; did you mean `method.rank` (axolotl calls it `lora_r`)?"
      ])
    #expect(
      try errors(method: "{ use: pair, r: 16 }")
        == ["run.yaml:2:22: unknown key `r` in `method`; did you mean `rank` (peft calls it `r`)?"])
    #expect(
      try errors(method: "{ use: pair, projection: { use_rslora: true } }") == [
        "run.yaml:2:36: unknown key `use_rslora` in `method.projection`; did you mean `scaling` (peft and LLaMA-Factory call it `use_rslora`)?"
      ])
  }

  @Test(arguments: [
    "learning_rate", "per_device_train_batch_size", "micro_batch_size", "num_train_epochs", "num_epochs",
    "gradient_accumulation_steps", "gradient_checkpointing",
    "max_grad_norm", "lr_scheduler_type", "warmup_ratio", "warmup_steps", "model_name_or_path", "base_model_name_or_path",
    "sequence_len",
    "cutoff_len", "max_seq_length", "sample_packing", "train_on_inputs", "lora_target_modules", "lora_r", "lora_alpha",
    "lora_dropout",
    "adapter", "val_data", "eval_steps", "save_steps", "dataset_path", "peft_type", "r", "use_rslora", "optim", "iters",
  ])
  func everyNameOfTheFieldIsUnderstood(_ name: String) throws {
    let errors = try errors(adding: "\(name): 1")
    #expect(errors.count == 1)
    #expect(errors[0].contains("; did you mean `"))
    #expect(errors[0].contains("`\(name)`)?"))
  }

  @Test func wrongType() throws {
    #expect(
      try errors(adding: "batch_size: many")
        == ["run.yaml:6:13: `batch_size` is the string 'many', but must be an integer from 1 to 65536"])
    #expect(
      try errors(adding: "batch_size: '2'") == [
        "run.yaml:6:13: `batch_size` is the string '2', but must be an integer from 1 to 65536; '2' stands in quotes and is a string; write it without"
      ])
    #expect(
      try errors(adding: "from_scratch: yes")
        == ["run.yaml:6:15: `from_scratch` is the string 'yes', but must be true or false; 'yes' is a string here; write true"])
    #expect(try errors(adding: "seed: null") == ["run.yaml:6:7: `seed` is nothing, but must be an integer of at least 0"])
    #expect(try errors(adding: "samples: 3") == ["run.yaml:6:10: samples is the integer 3, but must be a mapping"])
    #expect(
      try errors(adding: "target_modules: []")
        == ["run.yaml:6:17: `target_modules` is an empty list, but must be a string or a list of strings"])
    #expect(
      try errors(adding: "optimizer: { schedule: cosin }")
        == [
          "run.yaml:6:24: `optimizer.schedule` is the string 'cosin', but must be one of constant, cosine, linear; did you mean `cosine`?"
        ])
  }

  @Test func whatDoesNotBelongInAListIsNamed() throws {
    #expect(
      try errors(adding: "optimizer: { betas: [0.9, much, .nan] }") == [
        "run.yaml:6:27: `optimizer.betas[1]` is the string 'much', but must be a number",
        "run.yaml:6:33: `optimizer.betas[2]` is the number .nan, but must be a number",
      ])
    #expect(
      try errors(adding: "layers_to_transform: [0, -1, two]") == [
        "run.yaml:6:26: `layers_to_transform[1]` is the integer -1, but must be a layer's index",
        "run.yaml:6:30: `layers_to_transform[2]` is the string 'two', but must be a layer's index",
      ])
    #expect(
      try errors(adding: "target_modules: [3]")
        == ["run.yaml:6:18: `target_modules[0]` is the integer 3, but must be a string"])
    #expect(
      try errors(adding: "samples: { prompts: [a, 3] }")
        == ["run.yaml:6:25: `samples.prompts[1]` is the integer 3, but must be a string"])
    #expect(
      try errors(method: "{ use: pair, trainable: [3] }")
        == ["run.yaml:2:34: `method.trainable[0]` is the integer 3, but must be a string"])
    #expect(
      try errors(method: "{ use: pair, trainable: [] }")
        == ["run.yaml:2:33: `method.trainable` is an empty list, but must be a list of strings"])
  }

  @Test func outOfRange() throws {
    #expect(
      try errors(adding: "clip_grad_norm: .nan")
        == ["run.yaml:6:17: `clip_grad_norm` is the number .nan, but must be a number above 0.0"])
    #expect(
      try errors(adding: "gradient_accumulation: 0")
        == ["run.yaml:6:24: `gradient_accumulation` is the integer 0, but must be an integer from 1 to 65536"])
    #expect(
      try errors(adding: "clip_grad_norm: 0") == [
        "run.yaml:6:17: `clip_grad_norm` is the integer 0, but must be a number above 0.0"
      ])
    #expect(
      try errors(adding: "optimizer: { lr: -1 }")
        == ["run.yaml:6:18: `optimizer.lr` is the integer -1, but must be a number of at least 0.0"])
    #expect(
      try errors(adding: "optimizer: { weight_decay: 2 }")
        == ["run.yaml:6:28: `optimizer.weight_decay` is the integer 2, but must be a number in [0.0, 1.0]"])
    #expect(
      try errors(adding: "optimizer: { warmup: 1.5 }")
        == ["run.yaml:6:22: `optimizer.warmup` is 1.5, but must be a share below 1 or a whole number of steps"])
    #expect(
      try errors(method: "{ use: pair, rank: 0 }")
        == ["run.yaml:2:28: `method.rank` is the integer 0, but must be an integer from 1 to 1024"])
  }

  @Test func everythingAtOnce() throws {
    let errors = try scratch.errors(
      """
      base_model: modell
      method: { use: pair, rank: 2.5, bogus: 1 }
      data: { train: train.jsonl, packing: maybe, cutoff_len: 8 }
      epochs: 1
      epochs: 2
      learning_rate: 1e-4
      batch_size: 0
      output_dir: out
      """, sites: { _, _ in Fakes.sites })
    #expect(
      errors == [
        "run.yaml:1:13: base_model: modell: there is no such folder; relative paths start at this file's folder",
        "run.yaml:2:28: `method.rank` is the number 2.5, but must be an integer from 1 to 1024",
        "run.yaml:2:33: unknown key `bogus` in `method`; known: rank, alpha, scaling, bias, gamma, batches, lr, betas, weight_decay, init, projection, trainable, targets, optimizer",
        "run.yaml:3:38: `data.packing` is the string 'maybe', but must be true or false",
        "run.yaml:3:45: unknown key `cutoff_len` in `data`; did you mean `max_seq_len` (LLaMA-Factory calls it `cutoff_len`)?",
        "run.yaml:5:1: duplicate key 'epochs' (first at 4:1)",
        "run.yaml:6:1: unknown key `learning_rate`; did you mean `optimizer.lr` (axolotl, LLaMA-Factory, TRL and mlx-lm call it `learning_rate`)?",
        "run.yaml:7:13: `batch_size` is the integer 0, but must be an integer from 1 to 65536",
      ])
  }

  @Test func missingKeys() throws {
    #expect(
      try scratch.errors("seed: 1") == [
        "run.yaml:1:1: `base_model` is missing: the model, a Hugging Face directory",
        "run.yaml:1:1: `data` is missing: what is learned from",
        "run.yaml:1:1: `output_dir` is missing: where the run's folder is made",
        "run.yaml:1:1: `optimizer.lr` is missing: the peak learning rate",
        "run.yaml:1:1: one of `steps` and `epochs` is needed",
        "run.yaml:1:1: `method` is missing: give it, or `init_adapter` to go on from an adapter",
      ])
    #expect(
      try errors(adding: "optimizer: { name: sgd }") == [
        "run.yaml:6:12: `optimizer.lr` is missing: the peak learning rate (the method `pair` proposes one for adamw only)"
      ])
  }

  @Test func keysThatExcludeOneAnother() throws {
    #expect(try errors(adding: "epochs: 1") == ["run.yaml:6:9: `steps` and `epochs` exclude one another; give one"])
    #expect(
      try errors(adding: "init_adapter: model")
        == ["run.yaml:2:9: `method` cannot stand beside `init_adapter`, which brings its own"])
    #expect(
      try errors(adding: "from_scratch: true")
        == ["run.yaml:6:15: `from_scratch` needs a method that trains the base; `pair` would leave it as it was drawn"])
    #expect(try errors(adding: "eval_every: 3") == ["run.yaml:6:13: `eval_every` needs `data.valid` or `data.split.valid`"])
    #expect(
      try scratch.errors(RunFileTests.minimal.replacing("train.jsonl }", with: "train.jsonl, tokens: tokens.bin }"))
        == ["run.yaml:3:37: `data.train` and `data.tokens` exclude one another; give one"])
    #expect(
      try scratch.errors(
        RunFileTests.minimal.replacing("train: train.jsonl }", with: "tokens: tokens.bin, packing: true, max_seq_len: 8 }"))
        == [
          "run.yaml:3:38: `data.packing` cannot stand beside `data.tokens`, which is learned as it stands, in order",
          "run.yaml:3:57: `data.max_seq_len` cannot stand beside `data.tokens`, which is learned as it stands, in order",
        ])
    #expect(
      try scratch.errors(RunFileTests.minimal.replacing("pair", with: "full") + "target_modules: [q_proj]")
        == ["run.yaml:6:17: `target_modules` says nothing here: `full` has no adapter, it trains the whole base"])
    #expect(
      try errors(adding: "target_modules: '.*q_proj'\nlayers_to_transform: 1")
        == ["run.yaml:7:22: `layers_to_transform` works with lists and kinds; a regular expression says the layers itself"])
  }

  @Test func methods() throws {
    #expect(try errors(method: "pairs") == ["run.yaml:2:9: there is no method `pairs`; did you mean `pair`?"])
    #expect(try errors(method: "zzz") == ["run.yaml:2:9: there is no method `zzz`; known: full, pair"])
    #expect(
      try errors(method: "{ rank: 3 }")
        == ["run.yaml:2:9: `method` needs `use` with an entry's name, or `projection` and `trainable` to be an entry of its own"])
    #expect(
      try errors(method: "{ use: pair, gamma: 3 }")
        == ["run.yaml:2:22: `gamma` is an option of projection and init; write `projection: {gamma: …}` or `init: {gamma: …}`"])
    #expect(try errors(method: "{ use: pair, rank: 1, bias: true }") == ["run.yaml:2:9: pair: a bias needs a rank above 1"])
    #expect(try errors(method: "{ use: pair, init: spred }") == ["run.yaml:2:28: unknown init `spred`; did you mean `spread`?"])
    #expect(
      try errors(method: "{ use: pair, trainable: [factor_a, base] }")
        == ["run.yaml:2:34: unknown role `factor_a` in `trainable`; did you mean `factor-a`?"])
    #expect(
      try errors(adding: "optimizer: { name: adam, lr: 1 }") == ["run.yaml:6:20: unknown optimizer `adam`; did you mean `adamw`?"]
    )
  }

  @Test func missingFilesAreAKindOfTheirOwn() throws {
    let text = RunFileTests.minimal.replacing("train.jsonl", with: "trian.jsonl")
    let error = #expect(throws: ConfigurationErrors.self) { try scratch.run(text) }
    #expect(error?.kind == .missing)
    #expect(error?.issues.map(\.line) == [3])
    let both = #expect(throws: ConfigurationErrors.self) { try scratch.run(text + "sed: 1") }
    #expect(both?.kind == .configuration)
    let damaged = #expect(throws: ConfigurationErrors.self) {
      try scratch.run(RunFileTests.minimal) { path, _ in throw FileError(.badData, path, "is cut short") }
    }
    #expect(damaged?.kind == .badData)
    #expect(
      try scratch.errors(RunFileTests.minimal.replacing("base_model: model", with: "base_model: train.jsonl"))
        == ["run.yaml:1:13: base_model: train.jsonl: is no folder; relative paths start at this file's folder"])
    let none = #expect(throws: ConfigurationErrors.self) {
      try RunFile.load("/nowhere/run.yaml", registry: Fakes.registry())
    }
    #expect(none?.kind == .missing)
  }

  @Test func noYAML() throws {
    #expect(try scratch.errors("- 1\n") == ["run.yaml:1:1: the file is a list, but must be a mapping"])
    #expect(try scratch.errors("") == ["run.yaml:1:1: the document is empty"])
    #expect(try scratch.errors("a: [\n").count == 1)
  }

  @Test func selectorsThatMatchNothing() throws {
    let sites: RunFile.SiteSource = { _, _ in Fakes.sites }
    let text =
      RunFileTests.minimal + "target_modules: [q_proj, v_prj, _proj]\nexclude_modules: [mlp.gte]\nlayers_to_transform: [0, 7]\n"
    #expect(
      try scratch.errors(text, sites: sites) == [
        "run.yaml:6:26: target_modules: `v_prj` matches no site of the model; did you mean `v_proj`?",
        "run.yaml:6:33: target_modules: `_proj` matches no site of the model; did you mean `q_proj`?",
        "run.yaml:7:19: exclude_modules: `mlp.gte` matches no site of the model; did you mean `mlp.gate`?",
        "run.yaml:8:26: layers_to_transform: there is no layer 7; the model's layers are 0 to 1",
      ])
    // The same from a run file that was read without a model.
    let run = try scratch.run(text)
    let error = #expect(throws: ConfigurationErrors.self) { try run.selectSites(from: Fakes.sites) }
    #expect(error?.issues.map(\.line) == [6, 6, 7, 8])
    // An entry's own kinds fit no model: the place is the method's.
    let method = RunFileTests.minimal.replacing("method: pair", with: "method: { use: pair, targets: [attention.qkv] }")
    #expect(
      try scratch.errors(method, sites: sites)
        == ["run.yaml:2:9: target_modules: `attention.qkv` matches no site of the model; did you mean `attention.key`?"])
  }

  @Test func aModelThatCannotBeRead() throws {
    #expect(
      try scratch.errors(RunFileTests.minimal, sites: { _, _ throws in throw Refusal("no config.json") })
        == ["run.yaml:1:13: base_model: no config.json"])
  }
}
