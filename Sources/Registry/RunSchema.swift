import PEFTKernel

/// Every key of a run file.
public enum RunSchema {
  public static let keys: [KeySpec] = [
    KeySpec("base_model", .path(.folder), required: true, "the model, a Hugging Face directory"),
    KeySpec(
      "from_scratch", .value(.boolean), default: .bool(false), "draw the weights; only the model's config and tokenizer are read"),
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
    KeySpec("train", .path(.file), "examples, one JSON object a line; give this or `tokens`"),
    KeySpec("tokens", .path(.file), "sequences of token ids that are ready to learn from; give this or `train`"),
    KeySpec("valid", .path(.file), "examples for evaluation"),
    KeySpec(
      "loss_on", .value(.choice(["completion", "all"])), default: .string("completion"),
      "the tokens that are learned: the answers, or all"),
    KeySpec("max_seq_len", .value(.integer(2...Int.max)), "tokens a sequence may have; default: the model's limit"),
    KeySpec("packing", .value(.boolean), default: .bool(false), "put several examples into one sequence; none sees the other"),
    KeySpec("shuffle", .value(.boolean), default: .bool(true), "draw a new order in every epoch"),
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
