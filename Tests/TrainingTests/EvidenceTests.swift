import Blocks
import Engine
import Models
import PEFTKernel
import Synchronization
import Testing

@testable import Training

/// What starts and optimizers are shown of data and gradients.
@Suite struct EvidenceTests {
  /// Keeps what it is shown, and starts as the layout says.
  private final class Witness: InitStrategy, Sendable {
    let wants: Evidence.Wants
    let seen = Mutex<[SiteID: (gradient: Tensor?, gram: Tensor?)]>([:])

    init(_ wants: Evidence.Wants) { self.wants = wants }

    func start(
      _ layout: [TensorSpec], _ sites: [Site], _ projection: any Projection, _ evidence: Evidence, _ now: Moment
    ) throws(Refusal) -> Start {
      for site in sites { seen.withLock { $0[site.id] = (evidence.gradients[site.id], evidence.grams[site.id]) } }
      return Start(layout.filled(now))
    }
  }

  private func examples(_ count: Int) -> [Example] {
    var random = Philox(key: 2)
    return (0..<count).map { _ in Example(ids: (0..<9).map { _ in Int32(random.integer(below: 512)) }) }
  }

  private func witnessed(
    _ wants: Evidence.Wants, _ examples: [Example], origin: (any LanguageModel)? = nil
  ) throws -> [SiteID: (gradient: Tensor?, gram: Tensor?)] {
    let model = try ModelLoader.load(RunTests.model)
    let witness = Witness(wants)
    let method = Assembly(
      projection: LowRank(rank: 2, alpha: 2), initialization: witness, trainable: TrainableSubset(roles: ["factor-b"]))
    let sites = model.sites.filter { $0.layer == 0 && $0.use.hasPrefix("attention") }
    _ = try EvidenceStage(
      method, sites: sites, for: NextTokens(model), examples: examples, seed: 3, origin: origin.map { NextTokens($0) }
    ).start()
    return witness.seen.withLock { $0 }
  }

  /// Five samples in batches of two: the last batch, of one, counts by half of what the others do.
  @Test func samplesCountTheSame() throws {
    let examples = examples(5)
    let parts = try witnessed(.init(gradients: .init(.samples(5), batchSize: 2)), examples)
    let whole = try witnessed(.init(gradients: .init(.batches(1), batchSize: 5)), examples)
    let share = try witnessed(.init(gradients: .init(.share(1), batchSize: 3)), examples)
    for (id, expected) in whole {
      let gradient = try #require(expected.gradient)
      for other in [parts, share] {
        let found = try #require(other[id]?.gradient)
        #expect((found - gradient).largestMagnitude < 1e-5 * gradient.largestMagnitude)
      }
    }
    // A share of few samples is one at least.
    let one = try witnessed(.init(gradients: .init(.share(0.001), batchSize: 4)), examples)
    #expect(one.values.allSatisfy { ($0.gradient?.largestMagnitude ?? 0) > 0 })
  }

  /// Of magnitudes every batch's counts, whatever its sign; the batches are those of the mean itself.
  @Test func magnitudesAreThoseOfWholeBatches() throws {
    let two = examples(2)
    func gradients(_ count: Evidence.Amount.Count, of examples: [Example], magnitudes: Bool) throws -> [SiteID: [Float]] {
      try witnessed(.init(gradients: .init(count, batchSize: 1), magnitudes: magnitudes), examples).mapValues {
        try #require($0.gradient).floats
      }
    }
    let both = try gradients(.batches(2), of: two, magnitudes: true)
    let apart = try two.map { try gradients(.batches(1), of: [$0], magnitudes: false) }
    for (id, found) in both {
      let (a, b) = (try #require(apart[0][id]), try #require(apart[1][id]))
      let largest = found.max() ?? 0
      for (index, magnitude) in found.enumerated() {
        #expect(abs(magnitude - (abs(a[index]) + abs(b[index])) / 2) < 1e-5 * largest)
      }
      #expect(zip(a, b).contains { $0 * $1 < 0 })
    }
  }

  /// Σ xᵀ·x in double; what one site after another reads is multiplied once, and held once.
  @Test func gramsAreSumsInDouble() throws {
    let sites = ["q", "k", "v"].map { Site(id: SiteID($0), outputs: 4, inputs: 6) }
    let sums = GramSums(of: sites)
    var random = Philox(key: 5)
    var expected = Tensor.zeros([6, 6], .float64)
    for _ in 0..<3 {
      let x = random.normal([7, 6], deviation: 1)
      let double = x.converted(to: .float64)
      expected = expected + double.transposed.multiplied(by: double)
      for site in sites { sums.add(x, at: site.id) }
      sums.add(x, at: SiteID("another"))
    }
    let found = sums.sums
    #expect(found.count == 3)
    for site in sites { #expect(try (#require(found[site.id]) - expected).largestMagnitude < 1e-12) }
    #expect(found[sites[0].id]?.isSame(as: try #require(found[sites[2].id])) == true)
  }

  /// Inputs are those of the model before quantization.
  @Test func inputsAreTheOrigins() throws {
    let examples = examples(4)
    let wants = Evidence.Wants(inputs: .init(.samples(4), batchSize: 2))
    let own = try witnessed(wants, examples)
    let origin = try ModelLoader.fresh(config: RunTests.model, seed: 9)
    let others = try witnessed(wants, examples, origin: origin)
    for (id, seen) in own {
      let (gram, other) = (try #require(seen.gram), try #require(others[id]?.gram))
      #expect(gram.scalar == .float64)
      #expect((gram - other).largestMagnitude > 1e-3 * gram.largestMagnitude)
    }
  }

  /// One pass or several, few tokens or many: the energies are those of the whole step's G, scaled as the gradients are.
  @Test(arguments: [(3, 1), (40, 1), (3, 4), (40, 4)]) func energiesAreOfTheWholeStep(_ rows: Int, _ passes: Int) throws {
    let pair = Pair("site")
    let energies = PairEnergies(passes: passes, tokens: rows * passes)
    var random = Philox(key: 7)
    var product = Tensor.zeros([11, 8], .float64)
    for _ in 0..<passes {
      let (u, v) = (random.normal([rows, 8], deviation: 1, .float64), random.normal([rows, 11], deviation: 1, .float64))
      product = product + v.transposed.multiplied(by: u)
      energies.saw(pair, u: u, v: v)
    }
    let found = try #require(energies.energies(scaledBy: 0.5)[pair])
    let expected = Energies(of: product * 0.5)
    for (a, b) in zip(found.rows + found.columns, expected.rows + expected.columns) { #expect(abs(a - b) < 1e-10 * b) }
  }
}
