import Blocks
import PEFTKernel

/// SHiRA, "Sparse High Rank Adapters" [arXiv:2406.13175].
///
///     W'[i_l, j_l] = W[i_l, j_l] + s·θ_l,   l = 1…k places chosen once, every other entry as it is
///
/// - Projection: `SparseHighRank`, the masked entries of the building blocks with places that may be PEFT's.
/// - Start: θ = 0, so that step 0 is the base; the places are the start. `fill` draws them, `largest-weights` takes the largest |W|,
///   `largest-gradients` the largest |∂L/∂W| or |W ∘ ∂L/∂W|. Rows, columns and a diagonal by rule: `places: rows` or `columns`.
/// - Trainable: θ, k = r·(in + out) numbers a site, as many as LoRA of rank r has.
///
/// Why: few entries of a weight make an update of high rank, cost nothing once merged, and are swapped by writing k numbers.
public enum SHiRAMethod {
  public static let plugin = Plugin(
    "shira", projections: [SparseHighRank.definition], inits: [LargestGradients.definition], goldens: [golden],
    dialects: [dialect])

  /// PEFT stores the places. Where a file lacks them, they are those of its one mask, drawn by PyTorch.
  static let dialect = Dialect(
    "SHIRA",
    options: ["r": .int(32), "random_seed": .null],
    implied: ["density": .null, "scaling": .double(1), "save_indices": .bool(true), "places": .string("random")],
    ignored: ["mask_type", "init_weights"],
    absent: [
      MaskedEntries.indices: .init(
        options: ["save_indices": .bool(false), "index_generator": .string("torch")],
        needs: ["mask_type": .string("random")])
    ],
    refusesTransposed: true)
}

extension SparseHighRank {
  /// The options that make one, with the names others use.
  public static let options: [OptionSpec] =
    MaskedEntries.options + [
      OptionSpec(
        "places", .choice(Places.allCases.map(\.rawValue)), default: .string("random"),
        "drawn at random, or every so many rows or columns and the main diagonal"),
      OptionSpec(
        "every", .integer(2...1 << 20), default: .null, "distance of the rows or columns, where places are by those",
        aliases: [.init("struct_every")]),
      OptionSpec("offset", .integer(0...1 << 20), default: .int(0), "the first of the rows or columns"),
      OptionSpec(
        "random_seed", .integer(0...Int.max), default: .null, "seed of the random places; null for the run's, or PyTorch's own"),
      OptionSpec(
        "index_generator", .choice(IndexGenerator.allCases.map(\.rawValue)), default: .string("philox"),
        "what draws random places: for each site its own (philox), or as PEFT, the same at all of one shape (torch)"),
      OptionSpec("save_indices", .boolean, default: .bool(true), "whether files hold the places"),
    ]

  public init(_ options: Options) throws(Refusal) {
    let places = Places(rawValue: options.string("places")) ?? .random
    let every = options.optionalInt("every")
    guard (places == .random) == (every == nil) else {
      throw Refusal(
        "every is \(every.map(String.init) ?? "null"), but places are \(places.rawValue)",
        remedy: places == .random ? "leave every out, or use places: rows" : "give every, the distance of the \(places.rawValue)")
    }
    let (offset, step) = (options.int("offset"), every ?? 1)
    guard places == .random ? offset == 0 : offset < step else {
      throw Refusal("offset is \(offset), but must be below every, and 0 for random places")
    }
    let generator = IndexGenerator(rawValue: options.string("index_generator")) ?? .philox
    let seed = options.optionalInt("random_seed").map { UInt64($0) }
    guard options.bool("save_indices") || places != .random || generator == .torch || seed != nil else {
      throw Refusal(
        "save_indices is false, but places drawn from the run's seed cannot be drawn again from a file",
        remedy: "give a random_seed, or leave save_indices out")
    }
    self.init(
      entries: MaskedEntries(options), places: places, every: step, offset: offset, generator: generator, seed: seed,
      savesIndices: options.bool("save_indices"))
  }

  /// The registered axis.
  public static let definition = AxisDefinition<any Projection>(
    "sparse-high-rank", "ΔW = s·F, F zero but at places drawn, by rows or by columns", options: options
  ) { (options) throws(Refusal) in try SparseHighRank(options) }
}
