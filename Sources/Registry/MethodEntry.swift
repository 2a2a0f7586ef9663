import PEFTKernel

/// A registered axis with its options, defaults filled in.
public struct Choice: Sendable, Hashable {
  public var name: String
  public var options: [String: OptionValue]

  public init(_ name: String, _ options: [String: OptionValue] = [:]) {
    self.name = name
    self.options = options
  }
}

/// An optimizer with its options, and the learning rate that is proposed with it.
public struct OptimizerChoice: Sendable, Hashable {
  public var name: String
  public var learningRate: Double?
  /// The optimizer's own options, defaults filled in.
  public var options: [String: OptionValue]

  public init(_ name: String, learningRate: Double? = nil, options: [String: OptionValue] = [:]) {
    self.name = name
    self.learningRate = learningRate
    self.options = options
  }
}

/// A method: a choice on every axis, with the sites and the optimizer it proposes. What a file in `methods/` says.
public struct MethodEntry: Sendable, Hashable {
  public var name: String
  public var paper: String?
  public var summary: String?
  public var projection: Choice
  public var initialization: Choice
  public var trainable: TrainableSubset
  /// The sites it stands at unless the user says otherwise: kinds (`attention.query`), module names or `all-linear`.
  public var targets: [String]
  public var optimizer: OptimizerChoice
  /// The `peft_type` its adapters carry in files, where it is not derived from the name.
  public var peftType: String?

  public init(
    name: String, paper: String? = nil, summary: String? = nil, projection: Choice, initialization: Choice,
    trainable: TrainableSubset, targets: [String] = [TargetSelector.allLinear],
    optimizer: OptimizerChoice = OptimizerChoice("adamw"),
    peftType: String? = nil
  ) {
    self.name = name
    self.paper = paper
    self.summary = summary
    self.projection = projection
    self.initialization = initialization
    self.trainable = trainable
    self.targets = targets
    self.optimizer = optimizer
    self.peftType = peftType
  }

  /// Whether an adapter stands anywhere at all: not where the base's own tensors are all that is trained.
  public var hasAdapter: Bool { projection.name != "none" }

  /// The sites it proposes, as a selector: of several kinds a model must know one.
  public var defaultTargets: TargetSelector { TargetSelector(.names(targets), demand: .any) }
}

/// The text of an entry and the name it goes by in messages.
public struct EntrySource: Sendable {
  public var file: String
  public var text: String

  public init(file: String, text: String) {
    self.file = file
    self.text = text
  }

  public init(file: String, bytes: [UInt8]) { self.init(file: file, text: String(decoding: bytes, as: UTF8.self)) }
}
