import Files
import PEFTKernel
import Registry

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Several methods on one task: the same data in the same order, the same number of steps, the same number of learning rates.
///
/// Every contestant is tried with every rate of one grid, with the first seeds. The rate with the lowest mean loss on the validation
/// part at the end is its own; with it all seeds are run. What is reported is the loss on the held-out part, which chooses
/// nothing. A seed means the same order of examples and the same draws for each, so that contestants are compared seed by seed.
public struct Comparison: Sendable {
  public struct Contestant: Sendable {
    public var label: String
    /// The run file as this contestant runs it; rate and seed are those of a trial.
    public var file: RunFile
  }

  public struct Settings: Sendable {
    /// The peak learning rates; none for the run file's with two on either side, half a decade apart.
    public var rates: [Double]
    /// Runs at the chosen rate; the run file's seed is the first.
    public var seeds: Int
    /// Of these, how many take part in the choice.
    public var selectionSeeds: Int
    /// Steps between evaluations on the validation part; nil for the run file's, or what keeps them cheaper than the steps.
    public var evalEvery: Int?
    /// A file of examples to report on; without one `data.valid` is halved.
    public var heldOut: String?
    /// A file of the text that the base was made of.
    public var ownText: String?
    /// The label that the others are compared with; nil for `lora`, or the first where that does not take part.
    public var baseline: String?
    /// The folder of results.
    public var output: String
    /// Name and version of the program: trials of another one are not taken for its own.
    public var program: String
    /// Processor, threads, system, for the report.
    public var machine: String

    public init(
      rates: [Double] = [], seeds: Int = 3, selectionSeeds: Int = 1, evalEvery: Int? = nil, heldOut: String? = nil,
      ownText: String? = nil, baseline: String? = nil, output: String, program: String, machine: String = ""
    ) {
      self.rates = rates
      self.seeds = seeds
      self.selectionSeeds = selectionSeeds
      self.evalEvery = evalEvery
      self.heldOut = heldOut
      self.ownText = ownText
      self.baseline = baseline
      self.output = output
      self.program = program
      self.machine = machine
    }
  }

  public let contestants: [Contestant]
  public let settings: Settings
  public let registry: MethodRegistry
  /// Steps of each trial, between evaluations at most so many.
  public let steps: Int
  public let evalEvery: Int
  public let baseline: String
  /// Words the user should read before it starts.
  public let notes: [String]
  let data: ComparisonData
  /// The run file's own, which all share base and data with.
  let session: RunSession
  /// Fingerprints of base and data.
  let inputs: String

  /// Opens and checks everything. `path` is the run file's; nothing is written.
  public init(
    _ path: String, variants: [RunVariant], settings: Settings, registry: MethodRegistry, sites: RunFile.SiteSource? = nil
  ) throws {
    var settings = settings
    try Self.check(settings, variants)
    let file = try RunFile.load(path, registry: registry, sites: sites)
    if file.initAdapter != nil {
      throw file.fault(
        Refusal("a comparison starts every method from the base", remedy: "merge the adapter into its base first"),
        at: "init_adapter")
    }
    // The run's own, first: what is wrong with the data is told once.
    let own = try RunSession(file, registry: registry)
    data = try ComparisonData(own, heldOut: settings.heldOut, ownText: settings.ownText)
    if settings.rates.isEmpty { settings.rates = try Self.grid(around: file) }
    var contestants: [Contestant] = []
    var issues: [Issue] = []
    for variant in variants {
      do throws(ConfigurationErrors) {
        let file = try RunFile.load(path, as: variant, learningRate: settings.rates.first, registry: registry, sites: sites)
        contestants.append(Contestant(label: variant.label, file: file))
      } catch { issues += error.issues }
    }
    guard issues.isEmpty else { throw ConfigurationErrors(issues) }
    var notes = data.notes
    for contestant in contestants {
      // What a method refuses on this model is told before the first trial.
      do {
        let session = try RunSession(contestant.file, registry: registry, sharing: own)
        _ = try session.registry.rule(contestant.file.optimizer.name, options: contestant.file.optimizer.options)
        for note in session.notes where !notes.contains(note) { notes.append(note) }
      } catch let refusal as Refusal {
        throw Refusal("\(contestant.label): \(refusal.reason)", remedy: refusal.remedy)
      }
    }
    self.contestants = contestants
    self.settings = settings
    self.registry = registry
    self.notes = notes
    session = own
    inputs = try data.fingerprints(own)
    steps = own.steps
    evalEvery = settings.evalEvery ?? file.evalEvery ?? Self.interval(own, data.validation)
    baseline = settings.baseline ?? (contestants.contains { $0.label == "lora" } ? "lora" : contestants[0].label)
  }

  private static func check(_ settings: Settings, _ variants: [RunVariant]) throws(Refusal) {
    guard !variants.isEmpty else { throw Refusal("no method is named", remedy: "name some, with commas between them") }
    guard settings.seeds > 0 else { throw Refusal("no seed, no trial", remedy: "give 1 or more; 3 tell how much luck there is") }
    guard (1...settings.seeds).contains(settings.selectionSeeds) else {
      throw Refusal("the choice of the rate cannot look at \(settings.selectionSeeds) of \(settings.seeds) seeds")
    }
    guard settings.rates.allSatisfy({ $0 > 0 && $0.isFinite }) else {
      throw Refusal("learning rates are positive numbers", remedy: "write 1e-4,3e-4,1e-3 say")
    }
    for (index, rate) in settings.rates.enumerated() where settings.rates.prefix(index).contains(rate) {
      throw Refusal("the learning rate \(rate) stands twice")
    }
    if let every = settings.evalEvery, every < 1 { throw Refusal("between evaluations there is one step at least") }
    let labels = variants.map(\.label)
    for (index, label) in labels.enumerated() where labels.prefix(index).contains(label) {
      throw Refusal("`\(label)` stands twice", remedy: "name every contestant once")
    }
    if let baseline = settings.baseline, !labels.contains(baseline) {
      throw Refusal("the baseline `\(baseline)` does not take part", remedy: "name one of " + labels.joined(separator: ", "))
    }
  }
}

extension Comparison {
  /// For 20 evaluations, or as few as 4 where more would take half as long as the steps: these cost three times as much a token.
  private static func interval(_ session: RunSession, _ validation: [Example]) -> Int {
    func tokens(_ examples: [Example]) -> Double { examples.reduce(0) { $0 + Double($1.size) } }
    let trained = tokens(session.training) / Double(session.batches.stepsPerEpoch) * Double(session.steps)
    let count = min(20, max(4, Int(1.5 * trained / max(1, tokens(validation)))))
    return max(1, (session.steps + count - 1) / count)
  }

  /// A tenth to ten times the run file's rate, in steps of √10, to two digits.
  private static func grid(around file: RunFile) throws -> [Double] {
    let rate = file.optimizer.lr
    guard rate > 0, rate.isFinite else {
      throw file.fault(Refusal("no grid of learning rates lies around \(rate)", remedy: "give --rates"), at: "optimizer.lr")
    }
    return (-2...2).map { half in
      let wanted = rate * pow(10, Double(half) / 2)
      let exponent = Int(floor(log10(wanted))) - 1
      // Through its decimal form, so that it prints as it is meant.
      return half == 0 ? rate : Double("\(Int((wanted / pow(10, Double(exponent))).rounded()))e\(exponent)") ?? wanted
    }
  }
}

// MARK: - The plan

extension Comparison {
  public var seeds: [UInt64] { (0..<settings.seeds).map { session.file.seed &+ UInt64($0) } }

  /// The trials that rates are chosen by. Contestants take turns, so that a machine that grows slower is the same to all.
  public var selection: [Trial] {
    guard settings.rates.count > 1 else { return [] }
    return seeds.prefix(settings.selectionSeeds).flatMap { seed in
      settings.rates.flatMap { rate in contestants.map { Trial(label: $0.label, rate: rate, seed: seed) } }
    }
  }

  /// All seeds at the chosen rates, those of the choice included.
  public func finals(_ chosen: [String: Double]) -> [Trial] {
    seeds.flatMap { seed in
      contestants.compactMap { contestant in
        chosen[contestant.label].map { Trial(label: contestant.label, rate: $0, seed: seed) }
      }
    }
  }

  /// Trials in all, if every contestant gets along with some rate.
  public var trialCount: Int {
    let choice = selection.count
    return choice + contestants.count * (choice > 0 ? settings.seeds - settings.selectionSeeds : settings.seeds)
  }

  /// The rate with the lowest mean validation loss over the seeds of the choice; of equals the lower. Nil where none of them came to
  /// its end.
  public func chosenRate(of label: String, _ results: [Trial: TrialResult]) -> Double? {
    guard settings.rates.count > 1 else { return settings.rates[0] }
    var best: (rate: Double, loss: Double)?
    for rate in settings.rates.sorted() {
      guard let loss = selectionLoss(of: label, rate, results), loss.isFinite, loss < best?.loss ?? .infinity else { continue }
      best = (rate, loss)
    }
    return best?.rate
  }

  /// The mean over the seeds of the choice, infinite where one diverged; nil where one is missing.
  public func selectionLoss(of label: String, _ rate: Double, _ results: [Trial: TrialResult]) -> Double? {
    let losses = seeds.prefix(settings.selectionSeeds).map { results[Trial(label: label, rate: rate, seed: $0)]?.validation }
    guard !losses.contains(nil) else { return nil }
    return losses.compactMap(\.self).reduce(0, +) / Double(losses.count)
  }
}
