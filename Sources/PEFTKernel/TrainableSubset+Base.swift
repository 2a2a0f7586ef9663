// Tensors of the base that are trained along with an adapter, and lie in its files.
extension TrainableSubset {
  /// Whether an adapter brings some tensors of the base along.
  public var takesBase: Bool { !modules.isEmpty || biases != .none }

  /// Which of `names`, the tensors of a base, move with an adapter at `sites`; in the order of `names`.
  ///
  /// As in Hugging Face PEFT, a module is meant whose path ends with a word of ``modules``, whether or not a component begins there,
  /// and with it everything in it. `spelled` gives the names that words may mean a tensor by: its own, where there are no others.
  public func baseTensors(
    among names: [String], at sites: [Site], spelled: (String) -> [String] = { [$0] }
  ) -> [String] {
    guard takesBase else { return [] }
    let own = Set(sites.map { $0.id.path + ".bias" })
    return names.filter { name in
      let isBias = name == "bias" || name.hasSuffix(".bias")
      let isTaken = biases == .all || (biases == .sites && own.contains(name))
      return (isBias && isTaken)
        || spelled(name).contains { Self.modules(of: $0).contains { path in modules.contains { path.hasSuffix($0) } } }
    }
  }

  /// Words of ``modules`` that no module of a base ends with.
  public func unmatchedModules(among names: [String], spelled: (String) -> [String] = { [$0] }) -> [String] {
    let paths = Set(names.flatMap(spelled).flatMap { Self.modules(of: $0) })
    return modules.filter { word in !paths.contains { $0.hasSuffix(word) } }
  }

  /// Whether no adapter stands at `path` because that module, or one it lies in, is trained in full: one with a word of ``modules``
  /// for its last components.
  public func keepsAdaptersOff(_ path: String) -> Bool {
    Self.modules(of: path + ".").contains { inner in modules.contains { inner == $0 || inner.hasSuffix("." + $0) } }
  }

  /// The paths of the modules that a tensor lies in, the outermost first.
  private static func modules(of name: String) -> [String] {
    name.indices.filter { name[$0] == "." }.map { String(name[..<$0]) }
  }
}
