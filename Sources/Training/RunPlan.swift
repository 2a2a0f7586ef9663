import Engine
import PEFTKernel

/// What a run trains, reads and needs, before it starts. Nothing is written, and nothing of the run's is touched.
///
/// Numbers of parameters follow from the method's layout. Memory that depends on how method, model and engine work
/// together is measured: the adapter is started (evidence from one batch only) and takes a step, see ``MemoryProbe``.
public struct RunPlan: Sendable {
  /// A tensor of the method.
  public struct Part: Sendable, Hashable {
    public var name: String
    public var shape: [Int]
    public var isTrainable: Bool

    public var count: Int { shape.reduce(1, *) }
  }

  /// An adapted site and the tensors that are its own.
  public struct SitePlan: Sendable {
    public var site: Site
    public var parts: [Part]

    public var trainable: Int { parts.filter(\.isTrainable).reduce(0) { $0 + $1.count } }
  }

  /// The adapted sites in forward order.
  public var sites: [SitePlan]
  /// Sites that the model has.
  public var siteCount: Int
  /// The tensors that sites share.
  public var shared: [Part]
  /// Numbers that are trained, of the adapter and of the base.
  public var trainable: Int
  /// Numbers of the adapter that are not.
  public var frozen: Int
  /// Numbers of the base model and the adapter's trainable ones together.
  public var total: Int

  public var steps: Int
  public var stepsPerEpoch: Int
  /// Tokens of all steps.
  public var tokens: Int
  /// Tokens and sequences of the largest micro-batch.
  public var largestMicroBatch: (tokens: Int, sequences: Int)
  /// Tokens of an evaluation.
  public var evaluationTokens: Int

  public var memory: MemoryPlan
  /// Bytes of a checkpoint's tensors.
  public var checkpointBytes: Int
  /// Seconds that steps and evaluations will take on this machine as it is now.
  public var seconds: Double
  /// What the user should know about the adapter's start.
  public var notes: [String]

  public var epochs: Double { Double(steps) / Double(stepsPerEpoch) }
}

extension RunPlan {
  public init(_ session: RunSession) throws {
    let extent = session.batches.extent(steps: session.steps)
    var probe = MemoryProbe(session)
    let trainer = try probe.start()
    let parts = trainer.adapter.layout.map { spec in
      (
        spec.key,
        Part(name: spec.key.name, shape: spec.shape, isTrainable: session.parameterization.trainable.contains(spec.role))
      )
    }
    sites = session.sites.map { site in
      SitePlan(site: site, parts: parts.filter { $0.0.scope == .site(site.id) }.map(\.1))
    }
    siteCount = session.model.sites.count
    shared = parts.filter { $0.0.scope == .model }.map(\.1)
    trainable = trainer.trainableCount
    frozen = parts.map(\.1).filter { !$0.isTrainable }.reduce(0) { $0 + $1.count }
    total =
      session.model.parameters.reduce(0) { $0 + $1.shape.reduce(1, *) } + trainer.adapter.trainable.reduce(0) { $0 + $1.count }
    steps = session.steps
    stepsPerEpoch = session.batches.stepsPerEpoch
    tokens = extent.tokens
    largestMicroBatch = (extent.largest.reduce(0) { $0 + $1.size }, extent.largest.count)
    evaluationTokens = session.validation.reduce(0) { $0 + $1.size }
    checkpointBytes = trainer.checkpointTensors.reduce(0) { $0 + $1.tensor.byteCount }
    memory = try probe.plan(trainer, largest: extent.largest)
    let evaluations = evaluationTokens == 0 ? 0 : 2 + (session.file.evalEvery.map { max(0, session.steps - 1) / $0 } ?? 0)
    seconds =
      Double(tokens) * probe.secondsPerToken.step + Double(evaluations * evaluationTokens) * probe.secondsPerToken.evaluation
    notes = trainer.adapter.notes
  }
}
