/// How Hugging Face PEFT says a method in its adapter files: what a method's plugin knows of it, free of any file format.
///
/// From it adapters of that `peft_type` are read, those with tensors that PEFT leaves out and makes again among them, and written so
/// that PEFT loads them. Fields that all its methods have (targets, modules to save) are not a method's business.
public struct Dialect: Sendable, Hashable {
  /// Its `peft_type`, which the method's entry names as well.
  public var type: String
  /// Its fields that are options of the method, by its names for them, with its defaults.
  public var options: [String: OptionValue]
  /// Options of the method that it takes for granted: with other values it has no such method.
  public var implied: [String: OptionValue]
  /// Fields that change nothing in what is computed.
  public var ignored: Set<String>
  /// Names of tensors at sites that follow from the others, and are passed over.
  public var redundant: Set<String>
  /// Names of tensors of the whole model that its files repeat at every site.
  public var repeated: Set<String>
  /// Name of a tensor → what is to be done where a file has none of that name.
  public var absent: [String: Absence]
  /// The count of trained numbers where an option and the tensors both say it.
  public var counts: Counts?
  /// Whether it refuses maps whose files hold the transpose.
  public var refusesTransposed: Bool
  /// The kinds of site it adapts where a model has query, key and value in one map and none is named.
  public var fusedTargets: [String]

  /// How tensors that a file lacks are made again.
  public struct Absence: Sendable, Hashable {
    /// Options that make them as PEFT does.
    public var options: [String: OptionValue]
    /// Fields and values without which nobody could.
    public var needs: [String: OptionValue]

    public init(options: [String: OptionValue], needs: [String: OptionValue] = [:]) {
      self.options = options
      self.needs = needs
    }
  }

  /// Where the shape of a tensor [count] says what an option says, for the model or for all its sites, and another by site pattern.
  /// PEFT loses the order that overlapping patterns depend on, so tensors decide.
  public struct Counts: Sendable, Hashable {
    public var tensor: String
    public var option: String
    public var pattern: String?
    /// A switch under which counts follow from the sites instead.
    public var unless: String?

    public init(of tensor: String, option: String, pattern: String? = nil, unless: String? = nil) {
      self.tensor = tensor
      self.option = option
      self.pattern = pattern
      self.unless = unless
    }
  }

  public init(
    _ type: String, options: [String: OptionValue], implied: [String: OptionValue] = [:], ignored: Set<String> = [],
    redundant: Set<String> = [], repeated: Set<String> = [], absent: [String: Absence] = [:], counts: Counts? = nil,
    refusesTransposed: Bool = false, fusedTargets: [String] = ["attention.qkv"]
  ) {
    self.type = type
    self.options = options
    self.implied = implied
    self.ignored = ignored
    self.redundant = redundant
    self.repeated = repeated
    self.absent = absent
    self.counts = counts
    self.refusesTransposed = refusesTransposed
    self.fusedTargets = fusedTargets
  }
}
