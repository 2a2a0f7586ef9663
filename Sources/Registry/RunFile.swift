import Files
import PEFTKernel
import YAML

/// What a run is to do, as its file says: every key typed and checked, defaults filled in, paths made absolute.
///
/// The keys, their ranges and their defaults stand in ``RunSchema``.
public struct RunFile: Sendable, Hashable {
  /// The file it was read from.
  public var path: String
  /// A model directory.
  public var baseModel: String
  /// Whether the model's weights are drawn, and only its `config.json` and tokenizer are read.
  public var fromScratch: Bool
  /// What the model is trained for.
  public var task = Task.causalLM
  /// The names of the classes by id; nil for those of the training rows.
  public var labels: [String]?
  public var embedding = EmbeddingSettings()
  /// An adapter directory to go on from; its method and its sites are the run's.
  public var initAdapter: String?
  /// The method; nil where `initAdapter` brings it.
  public var method: MethodEntry?
  public var targetModules: TargetSelector.Targets?
  public var excludeModules: TargetSelector.Targets?
  public var layersToTransform: [Int]?
  /// As the file names them; the method has them already.
  public var modulesToSave: [String]?
  public var data: DataSettings
  public var optimizer: OptimizerSettings
  /// Exactly one of `epochs` and `steps` is given.
  public var epochs: Int?
  public var steps: Int?
  /// Sequences in a micro-batch.
  public var batchSize: Int
  /// Micro-batches in a step.
  public var gradientAccumulation: Int
  /// Whether layers are computed a second time on the way back, for less memory.
  public var activationCheckpointing: Bool
  /// The norm that a step's gradient is held to; nil where it is left as it is.
  public var clipGradNorm: Double?
  public var seed: UInt64
  /// Steps between evaluations; nil for one at the end.
  public var evalEvery: Int?
  /// Steps between checkpoints; nil for one at the end.
  public var saveEvery: Int?
  public var outputDir: String
  public var samples: SampleSettings?
  /// Where the selectors stood, for messages about a model's sites.
  var marks = Marks()

  public enum Task: String, Sendable, Hashable, CaseIterable {
    case causalLM = "causal_lm"
    case sequenceClassification = "sequence_classification"
    case sentenceEmbedding = "sentence_embedding"
    case imageClassification = "image_classification"
    case imageTextClassification = "image_text_classification"

    /// Whether rows are texts.
    public var readsTexts: Bool { self == .causalLM || self == .sequenceClassification || self == .sentenceEmbedding }
    public var readsClasses: Bool { self != .causalLM && self != .sentenceEmbedding }
  }

  /// How texts become vectors, and how these are compared.
  public struct EmbeddingSettings: Sendable, Hashable {
    public enum Pooling: String, Sendable, Hashable, CaseIterable {
      case mean
      case cls
    }
    /// Nil for the model's own.
    public var pooling: Pooling?
    /// Of the cosines, before their softmax.
    public var scale = 20.0

    public init() {}
  }

  public struct DataSettings: Sendable, Hashable {
    /// Which tokens are learned.
    public enum LossOn: String, Sendable, Hashable, CaseIterable {
      /// Completions, and every assistant turn of a conversation.
      case completion
      /// Completions, and the last assistant turn.
      case lastTurn = "last_turn"
      case all
    }
    /// What the rows of a file are.
    public enum Format: String, Sendable, Hashable, CaseIterable {
      /// Whatever the keys of a row say.
      case auto
      case messages
      case sharegpt
      case prompt
      case alpaca
      case text
      case label
    }
    /// Which part of the training rows is kept for evaluation.
    public struct Split: Sendable, Hashable {
      /// Shares of the rows.
      public var valid: Double
      public var test: Double
      public var seed: UInt64
    }
    /// A chat template without a language.
    public struct Template: Sendable, Hashable {
      public struct Turn: Sendable, Hashable {
        public var before: String
        public var after: String
      }
      public var begin: String
      public var defaultSystem: String?
      /// By role.
      public var turns: [String: Turn]

      static let roles = ["system", "user", "assistant", "tool"]
    }
    /// Steps whose sequences are sorted by length together.
    public static let groupedSteps = 50

    /// Exactly one of `train` and `tokens` is given.
    public var train: String?
    public var tokens: String?
    public var valid: String?
    public var test: String?
    public var split: Split?
    public var format = Format.auto
    public var lossOn: LossOn
    /// Nil for the model's own.
    public var chatTemplate: Template?
    /// Texts, numbers and truth values that the model's own template finds by name.
    public var chatTemplateArguments: [String: OptionValue] = [:]
    /// Nil for the model's own limit.
    public var maxSeqLen: Int?
    public var packing: Bool
    public var shuffle: Bool
    public var groupByLength = false
    /// Rows of every class that are learned from; nil for all.
    public var shots: Int?
    /// The text of a class, with `{}` for its name.
    public var promptTemplate = standardPrompt

    public static let standardPrompt = "a photo of a {}."
  }

  public struct OptimizerSettings: Sendable, Hashable {
    public enum Schedule: String, Sendable, Hashable, CaseIterable {
      case constant
      case cosine
      case linear
    }
    public var name: String
    public var lr: Double
    /// The optimizer's own options (betas, eps, weight_decay, …), defaults filled in.
    public var options: [String: OptionValue]
    public var schedule: Schedule
    /// A share of the steps where below 1, else steps.
    public var warmup: Double
    public var minLRRatio: Double

    /// Steps of warm-up in a run of `steps`.
    public func warmupSteps(of steps: Int) -> Int { warmup < 1 ? Int((warmup * Double(steps)).rounded(.up)) : Int(warmup) }
  }

  public struct SampleSettings: Sendable, Hashable {
    public var prompts: [String]
    public var maxNewTokens: Int
    /// 0 takes the likeliest token always.
    public var temperature: Double
    public var topP: Double
  }

  /// Places never make two run files differ.
  struct Marks: Sendable, Hashable {
    var targets: [Mark] = []
    var exclude: [Mark] = []
    var layers: [Mark] = []
    var method = Mark.none
    /// Of every key that is given, sections' keys as `data.train`.
    var keys: [String: Mark] = [:]

    func place(of fault: TargetSelector.Fault) -> Mark {
      let list =
        switch fault.part {
        case .targets: targets
        case .exclude: exclude
        case .layers: layers
        }
      return list.indices.contains(fault.item) ? list[fault.item] : method
    }

    static func == (a: Marks, b: Marks) -> Bool { true }
    func hash(into hasher: inout Hasher) {}
  }
}

extension RunFile {
  /// A fault that shows only beside the model or the data, at the place of the key that made it.
  public func fault(_ refusal: Refusal, at key: String) -> ConfigurationErrors {
    let mark = marks.keys[key] ?? (key == "method" ? marks.method : .none)
    return ConfigurationErrors([Issue(refusal.description, file: path, line: mark.line, column: mark.column)])
  }
}

extension RunFile {
  /// A file that cannot be written, at the place of the key that led to it.
  public func fault(_ error: FileError, at key: String) -> ConfigurationErrors {
    var error = error
    error.remedy = error.remedy ?? "choose another \(key)"
    let mark = marks.keys[key] ?? .none
    return ConfigurationErrors([
      Issue("\(key): \(error)", kind: Issue.Kind(error.kind), file: path, line: mark.line, column: mark.column)
    ])
  }
}

// MARK: - Sites

extension RunFile {
  /// The sites the run's method stands at: the user's, else what the method proposes. Nil where the adapter brings them, or
  /// where there is no adapter.
  public var targets: TargetSelector? {
    Self.selector(targetModules, exclude: excludeModules, layers: layersToTransform, method: method)
  }

  static func selector(
    _ targets: TargetSelector.Targets?, exclude: TargetSelector.Targets?, layers: [Int]?, method: MethodEntry?
  ) -> TargetSelector? {
    if method?.hasAdapter == false { return nil }
    var selector = targets.map { TargetSelector($0) } ?? method?.defaultTargets
    selector?.exclude = exclude
    selector?.layers = layers
    return selector
  }

  /// The chosen sites of a model, none where ``targets`` is nil. Selectors that match nothing are reported with their places.
  public func selectSites(from sites: [Site]) throws(ConfigurationErrors) -> [Site] {
    guard let targets else { return [] }
    var faults: [TargetSelector.Fault] = []
    let chosen = targets.select(from: sites, faults: &faults)
    guard faults.isEmpty else {
      throw ConfigurationErrors(
        faults.map {
          let mark = marks.place(of: $0)
          return Issue($0.message, file: path, line: mark.line, column: mark.column)
        })
    }
    return chosen
  }
}
