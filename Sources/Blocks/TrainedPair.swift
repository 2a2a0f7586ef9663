import Engine
import PEFTKernel

/// Two factors that are trained and occur only as their product B·A, among the parameters of a run.
public struct TrainedPair: Sendable {
  public let pair: Pair
  /// A [rank, inputs].
  public let down: Parameter
  /// B [outputs, rank].
  public let up: Parameter
  /// Their places in the list of parameters.
  let places: (down: Int, up: Int)

  public var rank: Int { down.value.rows }
  public var inputs: Int { down.value.columns }
  public var outputs: Int { up.value.rows }

  /// The pairs of a list, in its order, and the places of the parameters outside of pairs.
  ///
  /// Refuses, in the name of `rule`, factors without a trained partner, and lists without any pair.
  public static func all(
    in parameters: [Parameter], for rule: String
  ) throws(Refusal) -> (pairs: [TrainedPair], others: [Int]) {
    var halves: [Pair: (down: Int?, up: Int?)] = [:]
    var order: [Pair] = []
    var others: [Int] = []
    for (place, parameter) in parameters.enumerated() {
      switch parameter.role {
      case .down(let pair?), .up(let pair?):
        if halves[pair] == nil { order.append(pair) }
        if case .down? = parameter.role { halves[pair, default: (nil, nil)].down = place }
        if case .up? = parameter.role { halves[pair, default: (nil, nil)].up = place }
      case .down(nil), .up(nil): throw refusal(rule, parameter)
      default: others.append(place)
      }
    }
    var pairs: [TrainedPair] = []
    for pair in order {
      let half = halves[pair] ?? (nil, nil)
      guard let down = half.down, let up = half.up else {
        let alone = (half.down ?? half.up).map { parameters[$0].name } ?? pair.id
        throw Refusal(
          "\(rule) needs paired factors; `\(alone)` is a factor whose partner is not trained", remedy: "use adamw")
      }
      pairs.append(.init(pair: pair, down: parameters[down], up: parameters[up], places: (down, up)))
    }
    if pairs.isEmpty, let first = parameters.first { throw refusal(rule, first) }
    return (pairs, others)
  }

  private static func refusal(_ rule: String, _ parameter: Parameter) -> Refusal {
    let reason =
      switch parameter.role {
      case nil: "is a tensor of the base"
      case .down, .up: "is a factor that other things than its product with one partner depend on"
      case .vector: "is one vector that every factor is made from"
      case .core: "is a core between factors that stay as they are"
      case let role?: "is no factor, but has the role \(role.name)"
      }
    return Refusal("\(rule) needs paired factors; `\(parameter.name)` \(reason)", remedy: "use adamw")
  }
}

extension [TrainedPair] {
  /// Refuses ranks above what the weights have: their factors cannot both have full rank.
  public func requireNaturalRank(for rule: String) throws(Refusal) {
    for pair in self where pair.rank > Swift.min(pair.inputs, pair.outputs) {
      throw Refusal(
        "\(rule) needs ranks that a weight can have, but the pair of \(pair.pair.id) [\(pair.outputs), \(pair.inputs)] has rank "
          + "\(pair.rank)", remedy: "use a rank of at most \(Swift.min(pair.inputs, pair.outputs)), or adamw")
    }
  }

  /// Refuses factors that cannot be divided by: what `option` being 0 asks for.
  public func requireFullRank(for rule: String, _ option: String) throws(Refusal) {
    for pair in self {
      let (a, b) = (pair.down.value.converted(to: .float64), pair.up.value.converted(to: .float64))
      for (name, gram) in [(pair.down.name, a ⋅ a.t), (pair.up.name, b.t ⋅ b)] {
        let values: [Double]
        do { values = try LinearAlgebra.symmetricEigen(gram).values } catch { throw Refusal("\(name): \(error)") }
        guard let least = values.first, let most = values.last, least > most * Double(values.count) * .ulpOfOne else {
          throw Refusal(
            "\(rule) with \(option) 0 divides by factors, but `\(name)` does not have full rank",
            remedy: "give \(option) a small positive value")
        }
      }
    }
  }
}
