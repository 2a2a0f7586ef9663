import PEFTKernel

/// Every key of a run file.
public enum RunSchema {
  public static let keys: [KeySpec] = [
    KeySpec("base_model", .path(.folder), required: true, "the model, a Hugging Face directory"),
    KeySpec(
      "from_scratch", .value(.boolean), default: .bool(false), "draw the weights; only the model's config and tokenizer are read"),
    KeySpec(
      "task", .value(.choice(RunFile.Task.allCases.map(\.rawValue))), default: .string(RunFile.Task.causalLM.rawValue),
      "what is learned: the next token, the class of a text (`sequence_classification`) or of an image, by a head or, "
        + "`image_text_classification`, by the likeness to a text of each class; or, `sentence_embedding`, which texts belong together"),
    KeySpec(
      "labels", .texts,
      "the classes by id; default: the model's own where it has those of the training rows, else theirs, sorted. For other classes than "
        + "the model's a new head is made, and trained in full beside the adapter"),
    KeySpec("embedding", .section(embedding), "how texts become vectors, for `sentence_embedding`"),
    KeySpec("init_adapter", .path(.folder), "an adapter to go on from, in place of `method`"),
    KeySpec("method", .method, "an entry's name, `{use: NAME, …}` to replace some of its options, or an entry in full"),
    KeySpec(
      "target_modules", .selectors,
      "the sites: names that paths end with or kinds, in a list; `all-linear`, a kind or a regular expression as a string; default: the method's"
    ),
    KeySpec("exclude_modules", .selectors, "sites to leave out: names, or a regular expression as a string"),
    KeySpec("layers_to_transform", .layers, "layers to stay in, counted from 0"),
    KeySpec(
      "modules_to_save", .texts,
      "modules of the base that are trained in full and saved with the adapter: what their paths end with; none of them is adapted"
    ),
    KeySpec(
      "bias", .value(.choice(["none", "lora_only", "all"])),
      "biases of the base that are trained and saved with the adapter: none, those of the adapted sites, or all"),
    KeySpec("data", .section(data), required: true, "what is learned from"),
    KeySpec(
      "optimizer", .section(optimizer), "how the parameters follow their gradients; the optimizer's own options stand here too"),
    KeySpec("epochs", .value(.integer(1...1_000_000)), "passes over the data; give this or `steps`"),
    KeySpec("steps", .value(.integer(1...Int.max)), "optimizer steps; give this or `epochs`"),
    KeySpec("batch_size", .value(.integer(1...65536)), default: .int(8), "sequences in a micro-batch"),
    KeySpec("gradient_accumulation", .value(.integer(1...65536)), default: .int(1), "micro-batches in a step"),
    KeySpec(
      "activation_checkpointing", .value(.boolean), default: .bool(false),
      "keep only what layers start from, and compute them again on the way back: less memory, more time, the same numbers"),
    KeySpec(
      "clip_grad_norm", .value(.number(0...Double.greatestFiniteMagnitude, aboveLower: true)), default: .double(1),
      allowsNull: true,
      "the norm that a step's gradient is held to; `null` leaves it as it is"),
    KeySpec("seed", .value(.integer(0...Int.max)), default: .int(0), "what every draw of the run follows from"),
    KeySpec("eval_every", .value(.integer(1...Int.max)), "steps between evaluations; without it, one at the end"),
    KeySpec("save_every", .value(.integer(1...Int.max)), "steps between checkpoints; without it, one at the end"),
    KeySpec("output_dir", .path(.output), required: true, "where the run's folder is made"),
    KeySpec("samples", .section(samples), "texts that are continued before and after the training"),
  ]

  private static let data: [KeySpec] = [
    KeySpec(
      "train", .path(.fileOrFolder),
      "examples, one JSON object a line (`.jsonl`), in one JSON array (`.json`), or one text a line (`.txt`); or a folder with "
        + "`train`, and perhaps `valid` and `test`, in such files; of images tensors (`.safetensors`), a folder with a folder of "
        + "netpbm files for each class, or rows of `image` and `label` (`.jsonl`); give this or `tokens`"),
    KeySpec("tokens", .path(.file), "sequences of token ids that are ready to learn from; give this or `train`"),
    KeySpec("valid", .path(.fileOrFolder), "examples for evaluation"),
    KeySpec("test", .path(.fileOrFolder), "examples that are evaluated once, at the end; a comparison reports on them"),
    KeySpec("split", .section(split), "parts of `train` that are kept for evaluation, where it is one file"),
    KeySpec(
      "format", .value(.choice(RunFile.DataSettings.Format.allCases.map(\.rawValue))), default: .string("auto"),
      "what the rows are: `messages`, `sharegpt` (conversations), `prompt` (and completion), `alpaca` (instruction, input, output), "
        + "`text`, `label` (text and label); `auto` goes by the keys of each row"),
    KeySpec(
      "loss_on", .value(.choice(RunFile.DataSettings.LossOn.allCases.map(\.rawValue))), default: .string("completion"),
      "the tokens that are learned: `completion`, what the model has to say (completions, and every assistant turn of a "
        + "conversation), `last_turn`, its last turn only, or `all`"),
    KeySpec(
      "chat_template", .section(chatTemplate),
      "how conversations become texts; default: the model's own (`chat_template.jinja` or `tokenizer_config.json`)"),
    KeySpec(
      "chat_template_kwargs", .variables, "variables for the model's own template, such as `enable_thinking` or `date_string`"),
    KeySpec(
      "shots", .value(.integer(1...1_000_000)), "learn from so many rows of every class, drawn by the seed of `split`, else the run's"),
    KeySpec(
      "prompt_template", .value(.text), default: .string(RunFile.DataSettings.standardPrompt),
      "the text of a class, with `{}` for its name, for `image_text_classification`"),
    KeySpec("max_seq_len", .value(.integer(2...Int.max)), "tokens a sequence may have; default: the model's limit"),
    KeySpec("packing", .value(.boolean), default: .bool(false), "put several examples into one sequence; none sees the other"),
    KeySpec("shuffle", .value(.boolean), default: .bool(true), "draw a new order in every epoch"),
    KeySpec(
      "group_by_length", .value(.boolean), default: .bool(false),
      "put sequences of similar length into a batch: of each \(RunFile.DataSettings.groupedSteps) steps of the drawn order, sorted"
    ),
  ]

  private static let embedding: [KeySpec] = [
    KeySpec(
      "pooling", .value(.choice(RunFile.EmbeddingSettings.Pooling.allCases.map(\.rawValue))),
      "`mean` over a text's tokens, or the first one's, `cls`; default: as `1_Pooling` in the model's folder says, else `mean`"),
    KeySpec(
      "scale", .value(.number(0...Double.greatestFiniteMagnitude, aboveLower: true)), default: .double(20),
      "the factor of the cosines before their softmax"),
  ]

  private static let split: [KeySpec] = [
    KeySpec(
      "valid", .value(.number(0...1, belowUpper: true)), default: .double(0),
      "the share of the rows that becomes `valid`: share · rows, rounded to the nearest, at least one"),
    KeySpec(
      "test", .value(.number(0...1, belowUpper: true)), default: .double(0), "the share of the rows that becomes `test`"),
    KeySpec("seed", .value(.integer(0...Int.max)), default: .int(0), "which rows: they do not follow from the run's `seed`"),
  ]

  private static let chatTemplate: [KeySpec] = [
    KeySpec("begin", .value(.text), default: .string(""), "what begins the text"),
    KeySpec("default_system", .value(.text), "the system message of conversations without one"),
    KeySpec("system", .section(turn), "a system turn; without it, system messages are refused"),
    KeySpec("user", .section(turn), required: true, "a user turn"),
    KeySpec("assistant", .section(turn), required: true, "an assistant turn; `after` is learned with its content"),
    KeySpec("tool", .section(turn), "a turn with a tool's result"),
  ]

  private static let turn: [KeySpec] = [
    KeySpec("before", .value(.text), default: .string(""), "what stands before the content"),
    KeySpec("after", .value(.text), default: .string(""), "what stands behind it"),
  ]

  private static let optimizer: [KeySpec] = [
    KeySpec("name", .value(.text), "a registered optimizer; default: the method's, else adamw"),
    KeySpec(
      "lr", .value(.number(0...Double.greatestFiniteMagnitude)),
      "the peak learning rate; default: the method's, for the optimizer it names"),
    KeySpec(
      "schedule", .value(.choice(["constant", "cosine", "linear"])), default: .string("constant"),
      "how the rate goes after warm-up"),
    KeySpec(
      "warmup", .value(.number(0...1e9)), default: .double(0), "steps the rate climbs over; below 1, their share of all steps"),
    KeySpec("min_lr_ratio", .value(.number(0...1)), default: .double(0), "what the schedule ends at, as a share of `lr`"),
  ]

  private static let samples: [KeySpec] = [
    KeySpec("prompts", .texts, required: true, "the beginnings"),
    KeySpec("max_new_tokens", .value(.integer(1...1_048_576)), default: .int(64), "tokens to add"),
    KeySpec("temperature", .value(.number(0...100)), default: .double(0), "0 takes the likeliest token"),
    KeySpec(
      "top_p", .value(.number(0...1, aboveLower: true)), default: .double(1), "the share of probability that is drawn from"),
  ]
}

/// Every key of a method entry: of a file in `methods/`, and of `method` in a run file.
public enum EntrySchema {
  public static let keys: [KeySpec] = [
    KeySpec("name", .value(.text), required: true, "what it goes by"),
    KeySpec("paper", .value(.text), "where it is described"),
    KeySpec("summary", .value(.text), "what it is, in a sentence"),
    KeySpec("projection", .choice("projection"), required: true, "how the trainable numbers become adapted maps"),
    KeySpec("init", .choice("init strategy"), default: .string("fill"), "where the trainable numbers start"),
    KeySpec(
      "trainable", .texts, required: true,
      "what moves: roles of the adapter's tensors (\(Role.trainableNames.joined(separator: ", "))), `base` for the whole model, or of "
        + "the base what is saved with the adapter: `base:NAME` for the modules whose paths end so, `base.biases`, `base.site-biases`"
    ),
    KeySpec("targets", .texts, default: .list([.string("all-linear")]), "the sites it proposes: kinds, names, `all-linear`"),
    KeySpec(
      "optimizer", .choice("optimizer"), default: .string("adamw"), "the optimizer it proposes: `name`, `lr` and its options"),
    KeySpec("peft_type", .value(.text), "the type its adapters have in Hugging Face PEFT's files"),
  ]
}
