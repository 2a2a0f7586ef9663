import PEFTKernel

extension Law {
  func options(_ trial: Trial) -> [String] {
    var faults: [String] = []
    let axes = trial.method.registry.axes
    let specs =
      (axes.projections[trial.entry.projection.name]?.options ?? [])
      + (axes.inits[trial.entry.initialization.name]?.options ?? [])
    for spec in specs {
      for value in spec.invalidValues {
        if let fault = refusalFault(trial, spec.name, value) { faults.append(fault) }
      }
    }
    if let fault = refusalFault(trial, "no_such_option", .int(1)) { faults.append(fault) }
    return faults
  }

  /// Nil where `value` is refused by name.
  private func refusalFault(_ trial: Trial, _ name: String, _ value: OptionValue) -> String? {
    let given = trial.given.merging([name: value]) { $1 }
    do throws(Refusal) {
      let entry = try trial.method.registry.entry(trial.method.entry, overriding: given)
      _ = try trial.method.registry.assemble(entry)
      return "\(name): \(value.text) is accepted"
    } catch {
      guard !error.description.contains(name) else { return nil }
      return "\(name): \(value.text) is refused without naming the option: \(error)"
    }
  }
}

extension OptionSpec {
  /// Values just outside of what the option may be, and values of other types.
  var invalidValues: [OptionValue] {
    let wrongType: [OptionValue] =
      switch kind {
      case .integer: [.double(1.5), .string("many"), .bool(true), .list([])]
      case .number: [.string("much"), .double(.nan), .double(.infinity), .bool(true)]
      case .boolean: [.int(2), .string("perhaps")]
      case .text: [.int(1), .list([])]
      case .choice: [.string("no such choice"), .int(1)]
      case .numbers: [.string("many"), .list([.string("one")]), .list([.double(.nan)])]
      case .embedding: [.int(1), .string(" "), .list([.string("one")]), .list([.double(.nan)])]
      case .table:
        [.list([.int(1)]), .map(["site": .int(-1)]), .map(["site": .double(.infinity)]), .map(["site": .string("one")])]
      }
    var outside: [OptionValue] = standard == .null ? [] : [.null]
    switch kind {
    case .integer(let range):
      if range.lowerBound > .min { outside.append(.int(range.lowerBound - 1)) }
      if range.upperBound < .max { outside.append(.int(range.upperBound + 1)) }
    case .number(let range, let aboveLower, let belowUpper):
      let (low, high) = (range.lowerBound, range.upperBound)
      if low > -.greatestFiniteMagnitude { outside.append(.double(aboveLower ? low : low - max(1, abs(low)) * 1e-3)) }
      if high < .greatestFiniteMagnitude { outside.append(.double(belowUpper ? high : high + max(1, abs(high)) * 1e-3)) }
    default: break
    }
    return wrongType + outside
  }
}
