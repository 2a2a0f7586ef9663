import Engine
import PEFTKernel

/// What a comparison showed: a row for each contestant, everything that the rows follow from, and how it was made.
public struct ComparisonSummary: Sendable {
  public struct Row: Sendable {
    public var label: String
    /// The entry's name and its optimizer's.
    public var method: String
    public var optimizer: String
    /// Mean validation loss at each rate of the grid over the seeds of the choice, infinite where one diverged.
    public var grid: [(rate: Double, loss: Double)]
    /// Its own rate; nil where it diverged at every rate.
    public var rate: Double?
    /// The chosen rate is the grid's first or last, and a better one may lie beyond.
    public var isAtEdge: Bool
    /// The trials at the chosen rate, in order of the seeds.
    public var trials: [TrialResult]
    /// Of the held-out losses over the seeds; nil where a trial diverged.
    public var heldOut: Interval?
    /// Of the further figures of the held-out part over the seeds, in their order; none where a trial diverged.
    public var figures: [(key: String, interval: Interval)] = []
    /// Of the differences to the baseline, seed by seed; nil for the baseline itself and where a trial diverged.
    public var difference: Interval?
    /// Steps until the mean validation curve is as low as the baseline's last point, straight between evaluations; nil where it
    /// never is.
    public var stepsToBaseline: Double?
    /// Change of the loss on the base's own text; nil where there is none, or a trial diverged.
    public var forgetting: Interval?
    /// Validation loss over the steps: mean, lowest and highest seed. Without trials that diverged.
    public var curve: [(step: Int, mean: Double, low: Double, high: Double)]
    public var trainable: Int
    public var adapterBytes: Int?
    public var peakBytes: Int
    /// The median step of each trial; of these the median.
    public var stepSeconds: Double

    public var diverged: Int { trials.count { $0.divergence != nil } }
  }

  public var rows: [Row]
  public var baseline: String
  /// The baseline's last mean validation loss.
  public var target: Double?
  public var base: BaseScores
  /// Every trial there is, in the order of the plan.
  public var trials: [TrialResult]
  public var rates: [Double]
  public var seeds: [UInt64]
  public var selectionSeeds: Int
  public var steps: Int
  public var evalEvery: Int
  /// Examples and tokens that count, of each part.
  public var parts: [Part]
  public var runFile: String
  public var baseModel: String
  public var program: String
  /// The machines that the trials ran on, in order of their appearance.
  public var machines: [String]

  public struct Part: Sendable {
    /// What it is for.
    public var name: String
    /// Where it comes from, in words; nil where there is none.
    public var place: String?
    public var examples: Int
    /// Learned, or counted.
    public var tokens: Int

    init(_ name: String, _ place: String?, _ examples: [Example]) {
      self.name = name
      self.place = place
      self.examples = examples.count
      tokens = examples.reduce(0) { $0 + $1.labelCount }
    }
  }

  init(_ comparison: Comparison, chosen: [String: Double], results: [Trial: TrialResult], base: BaseScores) {
    let (settings, seeds) = (comparison.settings, comparison.seeds)
    var rows = comparison.contestants.map { contestant in
      let rate = chosen[contestant.label]
      let trials = rate.map { rate in
        seeds.compactMap { results[Trial(label: contestant.label, rate: rate, seed: $0)] }
      }
      let tried = trials ?? settings.rates.compactMap { results[Trial(label: contestant.label, rate: $0, seed: seeds[0])] }
      return Row(
        label: contestant.label, method: contestant.file.method?.name ?? contestant.label,
        optimizer: contestant.file.optimizer.name,
        grid: settings.rates.sorted().compactMap { rate in
          comparison.selectionLoss(of: contestant.label, rate, results).map { (rate, $0) }
        },
        rate: rate,
        isAtEdge: settings.rates.count > 1 && rate.map { $0 == settings.rates.min() || $0 == settings.rates.max() } == true,
        tried: tried, isChosen: trials != nil, base: base)
    }
    let reference = rows.first { $0.label == comparison.baseline }
    target = reference?.diverged == 0 ? reference?.curve.last?.mean : nil
    for index in rows.indices {
      if let target { rows[index].stepsToBaseline = rows[index].steps(reaching: target) }
      if let reference, rows[index].label != reference.label { rows[index].compare(with: reference) }
    }
    self.rows = rows
    baseline = comparison.baseline
    self.base = base
    var seen: Set<Trial> = []
    trials = (comparison.selection + comparison.finals(chosen)).filter { seen.insert($0).inserted }.compactMap { results[$0] }
    rates = settings.rates.sorted()
    self.seeds = seeds
    selectionSeeds = settings.selectionSeeds
    steps = comparison.steps
    evalEvery = comparison.evalEvery
    let file = comparison.session.file
    let data = comparison.data
    parts = [
      Part("training", file.data.train ?? file.data.tokens, comparison.session.training),
      Part("validation: chooses the rate, draws the curves", data.places.validation, data.validation),
      Part("held out: reported", data.places.heldOut, data.heldOut),
      Part("the base's own text: forgetting", data.places.ownText, data.ownText),
    ]
    runFile = file.path
    baseModel = file.baseModel
    program = settings.program
    machines = trials.reduce(into: []) { if !$0.contains($1.machine) { $0.append($1.machine) } }
  }
}

extension ComparisonSummary.Row {
  /// `tried` are the trials at the chosen rate, or, where every rate diverged, one of each rate.
  init(
    label: String, method: String, optimizer: String, grid: [(rate: Double, loss: Double)], rate: Double?, isAtEdge: Bool,
    tried: [TrialResult], isChosen: Bool, base: BaseScores
  ) {
    self.label = label
    self.method = method
    self.optimizer = optimizer
    self.grid = grid
    self.rate = rate
    self.isAtEdge = isAtEdge
    trials = tried
    trainable = tried.map(\.trainable).max() ?? 0
    adapterBytes = tried.compactMap(\.adapterBytes).max()
    peakBytes = tried.map(\.peakBytes).max() ?? 0
    stepSeconds = Statistics.median(tried.map(\.stepSeconds)) ?? 0
    curve = Self.curve(of: tried.filter { $0.divergence == nil })
    // One that diverged is worse than any number: a mean over the others would flatter.
    guard isChosen, tried.allSatisfy({ $0.divergence == nil }) else { return }
    heldOut = Interval(tried.compactMap(\.heldOut))
    for key in tried.first?.figures.map(\.key) ?? [] {
      let values = tried.compactMap { result in result.figures.first { $0.key == key }?.value }
      if let interval = Interval(values) { figures.append((key, interval)) }
    }
    if let before = base.ownText { forgetting = Interval(tried.compactMap { $0.ownText.map { $0 - before } }) }
  }

  /// Point by point over the seeds; all have the same steps.
  static func curve(of trials: [TrialResult]) -> [(step: Int, mean: Double, low: Double, high: Double)] {
    let count = trials.map(\.curve.count).min() ?? 0
    return (0..<count).map { index in
      let losses = trials.map { $0.curve[index].loss }
      let mean = losses.reduce(0, +) / Double(losses.count)
      return (trials[0].curve[index].step, mean, losses.min() ?? mean, losses.max() ?? mean)
    }
  }

  func steps(reaching target: Double) -> Double? {
    guard diverged == 0 else { return nil }
    return Statistics.step(reaching: target, on: curve.map { ($0.step, $0.mean) })
  }

  mutating func compare(with reference: Self) {
    guard diverged == 0, reference.diverged == 0 else { return }
    let theirs = Dictionary(reference.trials.map { ($0.trial.seed, $0.heldOut) }) { first, _ in first }
    difference = Interval(
      trials.compactMap { trial in
        guard let mine = trial.heldOut, case let other?? = theirs[trial.trial.seed] else { return nil }
        return mine - other
      })
  }
}
