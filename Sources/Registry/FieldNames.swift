/// What another program calls one of our keys or options.
public struct FieldName: Sendable {
  public var name: String
  /// Our key by its whole path; `method.…` for options of a method.
  public var meaning: String
  public var programs: [String]

  init(_ name: String, _ meaning: String, _ programs: String...) {
    self.name = name
    self.meaning = meaning
    self.programs = programs
  }

  /// `axolotl and TRL call it …`.
  var users: String { Self.users(of: name, programs) }

  static func users(of name: String, _ programs: [String]) -> String {
    guard let last = programs.last else { return "also called `\(name)`" }
    if programs.count == 1 { return "\(last) calls it `\(name)`" }
    return programs.dropLast().joined(separator: ", ") + " and \(last) call it `\(name)`"
  }
}

/// The names of the field. Error messages recognise them; none is accepted as a key, so that a run file reads one way only.
public enum FieldNames {
  public static let all: [FieldName] = run + training + data + method

  /// The first meaning of a name.
  static func meaning(of name: String) -> FieldName? { all.first { $0.name == name } }

  private static let run: [FieldName] = [
    FieldName("model_name_or_path", "base_model", "LLaMA-Factory", "TRL"),
    FieldName("base_model_name_or_path", "base_model", "peft"),
    FieldName("base_model_config", "base_model", "axolotl"),
    FieldName("model", "base_model", "mlx-lm"),
    FieldName("train_from_scratch", "from_scratch", "LLaMA-Factory"),
    FieldName("adapter_name_or_path", "init_adapter", "LLaMA-Factory"),
    FieldName("lora_model_dir", "init_adapter", "axolotl"),
    FieldName("resume_adapter_file", "init_adapter", "mlx-lm"),
    FieldName("lora_target_modules", "target_modules", "axolotl"),
    FieldName("lora_target_linear", "target_modules", "axolotl"),
    FieldName("lora_target", "target_modules", "LLaMA-Factory"),
    FieldName("lora_layers_to_transform", "layers_to_transform", "axolotl"),
    FieldName("peft_layers_to_transform", "layers_to_transform", "axolotl"),
    FieldName("lora_modules_to_save", "modules_to_save", "axolotl"),
    FieldName("additional_target", "modules_to_save", "LLaMA-Factory"),
    FieldName("num_layers", "layers_to_transform", "mlx-lm"),
    FieldName("lora_layers", "layers_to_transform", "mlx-lm"),
    FieldName("adapter_path", "output_dir", "mlx-lm"),
    FieldName("random_seed", "seed"),
    FieldName("data_seed", "seed", "TRL"),
  ]

  private static let training: [FieldName] = [
    FieldName("learning_rate", "optimizer.lr", "axolotl", "LLaMA-Factory", "TRL", "mlx-lm"),
    FieldName("optim", "optimizer.name", "LLaMA-Factory", "TRL"),
    FieldName("lr_scheduler", "optimizer.schedule", "axolotl"),
    FieldName("lr_scheduler_type", "optimizer.schedule", "LLaMA-Factory", "TRL"),
    FieldName("lr_schedule", "optimizer.schedule", "mlx-lm"),
    FieldName("warmup_ratio", "optimizer.warmup", "axolotl", "LLaMA-Factory", "TRL"),
    FieldName("warmup_steps", "optimizer.warmup", "axolotl", "LLaMA-Factory", "TRL"),
    FieldName("cosine_min_lr_ratio", "optimizer.min_lr_ratio", "axolotl"),
    FieldName("adam_beta1", "optimizer.betas", "axolotl", "LLaMA-Factory", "TRL"),
    FieldName("adam_beta2", "optimizer.betas", "axolotl", "LLaMA-Factory", "TRL"),
    FieldName("adam_epsilon", "optimizer.eps", "axolotl", "LLaMA-Factory", "TRL"),
    FieldName("num_epochs", "epochs", "axolotl"),
    FieldName("num_train_epochs", "epochs", "LLaMA-Factory", "TRL"),
    FieldName("max_steps", "steps", "axolotl", "LLaMA-Factory", "TRL"),
    FieldName("iters", "steps", "mlx-lm"),
    FieldName("micro_batch_size", "batch_size", "axolotl"),
    FieldName("per_device_train_batch_size", "batch_size", "LLaMA-Factory", "TRL"),
    FieldName("gradient_accumulation_steps", "gradient_accumulation", "axolotl", "LLaMA-Factory", "TRL"),
    FieldName("grad_accumulation_steps", "gradient_accumulation", "mlx-lm"),
    FieldName("gradient_checkpointing", "activation_checkpointing", "axolotl", "TRL"),
    FieldName("disable_gradient_checkpointing", "activation_checkpointing", "LLaMA-Factory"),
    FieldName("grad_checkpoint", "activation_checkpointing", "mlx-lm"),
    FieldName("max_grad_norm", "clip_grad_norm", "axolotl", "LLaMA-Factory", "TRL"),
    FieldName("eval_steps", "eval_every", "axolotl", "LLaMA-Factory", "TRL"),
    FieldName("steps_per_eval", "eval_every", "mlx-lm"),
    FieldName("save_steps", "save_every", "axolotl", "LLaMA-Factory", "TRL"),
    FieldName("max_tokens", "samples.max_new_tokens", "mlx-lm"),
    FieldName("temp", "samples.temperature", "mlx-lm"),
  ]

  private static let data: [FieldName] = [
    FieldName("datasets", "data.train", "axolotl"),
    FieldName("dataset", "data.train", "LLaMA-Factory"),
    FieldName("dataset_dir", "data.train", "LLaMA-Factory"),
    FieldName("dataset_name", "data.train", "TRL"),
    FieldName("dataset_path", "data.train"),
    FieldName("train_data", "data.train"),
    FieldName("train_file", "data.train", "TRL"),
    FieldName("test_datasets", "data.valid", "axolotl"),
    FieldName("eval_dataset", "data.valid", "LLaMA-Factory"),
    FieldName("val_data", "data.valid"),
    FieldName("valid_data", "data.valid"),
    FieldName("validation_file", "data.valid", "TRL"),
    FieldName("train_on_inputs", "data.loss_on", "axolotl"),
    FieldName("train_on_prompt", "data.loss_on", "LLaMA-Factory"),
    FieldName("mask_prompt", "data.loss_on", "mlx-lm"),
    FieldName("completion_only_loss", "data.loss_on", "TRL"),
    FieldName("sequence_len", "data.max_seq_len", "axolotl"),
    FieldName("cutoff_len", "data.max_seq_len", "LLaMA-Factory"),
    FieldName("max_seq_length", "data.max_seq_len", "mlx-lm", "TRL"),
    FieldName("max_length", "data.max_seq_len", "TRL"),
    FieldName("sample_packing", "data.packing", "axolotl"),
    FieldName("neat_packing", "data.packing", "LLaMA-Factory"),
    FieldName("disable_shuffling", "data.shuffle", "LLaMA-Factory"),
  ]

  private static let method: [FieldName] = [
    FieldName("adapter", "method", "axolotl"),
    FieldName("peft_type", "method", "peft"),
    FieldName("finetuning_type", "method", "LLaMA-Factory"),
    FieldName("fine_tune_type", "method", "mlx-lm"),
    FieldName("r", "method.rank", "peft"),
    FieldName("lora_r", "method.rank", "axolotl"),
    FieldName("lora_rank", "method.rank", "LLaMA-Factory"),
    FieldName("lora_alpha", "method.alpha", "peft", "axolotl", "LLaMA-Factory"),
    FieldName("lora_dropout", "method.dropout", "peft", "axolotl", "LLaMA-Factory"),
    FieldName("use_rslora", "method.scaling", "peft", "LLaMA-Factory"),
    FieldName("peft_use_rslora", "method.scaling", "axolotl"),
    FieldName("init_lora_weights", "method.init", "peft"),
    FieldName("peft_init_lora_weights", "method.init", "axolotl"),
  ]
}
