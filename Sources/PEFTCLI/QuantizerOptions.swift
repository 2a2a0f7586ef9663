import ArgumentParser
import Blocks
import JSON
import Models
import PEFTKernel

/// How weights are to be coded, as the command line says it.
struct QuantizerOptions: ParsableArguments {
  enum Scheme: String, ExpressibleByArgument, CaseIterable {
    case rtn
    case gptq
    case nf4
  }

  /// Inputs that share a scale.
  enum GroupSize: ExpressibleByArgument, Equatable {
    case inputs(Int)
    case row

    init?(argument: String) {
      if argument == "row" || argument == "-1" {
        self = .row
      } else if let size = Int(argument) {
        self = .inputs(size)
      } else {
        return nil
      }
    }
  }

  @Option(
    help: "rtn: every weight to the nearest grid point; gptq: with feedback from calibration data; nf4: quantiles of QLoRA.")
  var scheme: Scheme

  @Option(help: "Bits a weight, with rtn and gptq: 2, 3, 4 or 8; default: 4.")
  var bits: Int?

  @Option(help: ArgumentHelp("Inputs that share a scale, with rtn and gptq, or `row` for all; default: 64.", valueName: "n"))
  var groupSize: GroupSize?

  @Flag(help: "Zero is the grid's middle, with rtn and gptq.")
  var symmetric = false

  @Option(help: ArgumentHelp("Weights that share a peak, with nf4: a power of two; default: 64.", valueName: "n"))
  var blockSize: Int?

  @Flag(help: "Code the peaks too, with nf4.")
  var doubleQuant = false

  @Flag(help: "Make the largest weights smaller first (MagR); needs --data.")
  var magr = false

  @Option(help: ArgumentHelp("Strength of --magr; default: 1e-5, or 1e-3 for groups of a row.", valueName: "number"))
  var magrAlpha: Double?

  @Option(help: ArgumentHelp("Iterations of --magr; default: 200.", valueName: "n"))
  var magrIters: Int?

  @Option(help: ArgumentHelp("Passes over the codes that improve one column at a time; need --data.", valueName: "n"))
  var coordinateDescent: Int?

  @Flag(help: "Code inputs that vary most first, with gptq; groups are then static.")
  var actOrder = false

  @Flag(help: "Take all grids from the weight as it was, with gptq.")
  var staticGroups = false

  @Option(help: ArgumentHelp("Added to the diagonal, as a share of its mean, with gptq; default: 0.01.", valueName: "number"))
  var percdamp: Double?

  func validate() throws {
    let gptq: [(String, Bool)] = [
      ("--act-order", actOrder), ("--static-groups", staticGroups), ("--percdamp", percdamp != nil),
    ]
    let integers: [(String, Bool)] = [
      ("--bits", bits != nil), ("--group-size", groupSize != nil), ("--symmetric", symmetric), ("--magr", magr),
      ("--coordinate-descent", coordinateDescent != nil),
    ]
    let normal: [(String, Bool)] = [("--block-size", blockSize != nil), ("--double-quant", doubleQuant)]
    let strange = scheme == .nf4 ? integers + gptq : scheme == .rtn ? normal + gptq : normal
    if let option = strange.first(where: { $0.1 }) {
      throw ValidationError("\(option.0) does not go with --scheme \(scheme.rawValue)")
    }
    if !magr, magrAlpha != nil || magrIters != nil {
      throw ValidationError("\(magrAlpha != nil ? "--magr-alpha" : "--magr-iters") goes with --magr")
    }
  }

  /// Refuses values out of range, by the names of the specification.
  func quantizer() throws -> any Quantizer {
    do throws(Refusal) { return try made() } catch { throw Failure(.usage, error.description) }
  }

  private func made() throws(Refusal) -> any Quantizer {
    if scheme == .nf4 { return try NormalFloat(blockSize: blockSize ?? 64, isNested: doubleQuant) }
    let rounding =
      scheme == .rtn
      ? IntegerQuantizer.Rounding.nearest
      : .feedback(try GPTQ(damping: percdamp ?? 0.01, hasStaticGroups: staticGroups, ordersByActivity: actOrder))
    return try IntegerQuantizer(
      IntegerGrid(bits: bits ?? 4, groupSize: size, isSymmetric: symmetric), rounding: rounding,
      reduction: magr ? MagR(alpha: magrAlpha, iterations: magrIters ?? 200) : nil, descents: coordinateDescent ?? 0)
  }

  private var size: Int? {
    switch groupSize {
    case .inputs(let size)?: size
    case .row?: nil
    case nil: 64
    }
  }

  /// What the written config.json says.
  func config(origin: QuantizationConfig.Origin) -> QuantizationConfig {
    if scheme == .nf4 {
      return QuantizationConfig(
        method: "nf4", scheme: .normalFloat(blockSize: blockSize ?? 64, isNested: doubleQuant), origin: origin)
    }
    var details: [JSON.Member] = [.init("sym", .bool(symmetric))]
    if scheme == .gptq {
      details += [
        .init("percdamp", .double(percdamp ?? 0.01)), .init("static_groups", .bool(staticGroups || actOrder)),
        .init("act_order", .bool(actOrder)),
      ]
    }
    if magr {
      details.append(.init("magr_iters", .int(magrIters ?? 200)))
      if let magrAlpha { details.append(.init("magr_alpha", .double(magrAlpha))) }
    }
    if let coordinateDescent { details.append(.init("cd_iters", .int(coordinateDescent))) }
    return QuantizationConfig(
      method: scheme.rawValue, scheme: .grid(bits: bits ?? 4, groupSize: size), origin: origin, details: details)
  }
}
