import Engine
import PEFTKernel

// Tensors of the base that a run trains beside its adapter.
extension Model {
  /// Every tensor that can be trained by itself: the parameters and, where the head is the embedding table, the head's weight.
  /// Given a value, that one no longer follows the table.
  public var tensorNames: [String] { parameters.map(\.name) + (sharedHead.map { [$0.name] } ?? []) }

  /// Every name that people and files may call a tensor of ``tensorNames`` by, today's first.
  public var tensorSpellings: [String: [String]] {
    var spellings = Dictionary(parameters.map { ($0.name, $0.names) }) { first, _ in first }
    if let head = sharedHead { spellings[head.name] = [head.name] }
    return spellings
  }

  /// The tensors that `subset` takes with an adapter at `sites`, its words read as the libraries would, by whatever name.
  public func tensors(of subset: TrainableSubset, at sites: [Site]) -> [String] {
    guard subset.takesBase else { return [] }
    let spellings = tensorSpellings
    return subset.baseTensors(among: tensorNames, at: sites) { spellings[$0] ?? [$0] }
  }

  /// Words of a subset that no module ends with, by whatever name.
  public func unmatchedModules(of subset: TrainableSubset) -> [String] {
    let spellings = tensorSpellings
    return subset.unmatchedModules(among: tensorNames) { spellings[$0] ?? [$0] }
  }

  /// The values of a tensor of ``tensorNames``, widened: a copy, in the file's shape.
  public func values(of name: String) -> Tensor {
    if let head = sharedHead, head.name == name { return base(head.site.id).weight(as: .float32).copied() }
    return parameter(name)
  }

  /// The shape of a tensor of ``tensorNames``.
  public func shape(of name: String) -> [Int]? {
    if let head = sharedHead, head.name == name { return [head.site.outputs, head.site.inputs] }
    return parameters.first { $0.name == name }?.shape
  }

  /// The tensors that move with an adapter at `sites`. Refuses words that name no module, and adapted maps that are themselves trained.
  public func trainedNames(_ subset: TrainableSubset, at sites: [Site]) throws(Refusal) -> [String] {
    if let word = unmatchedModules(of: subset).first {
      throw Refusal("modules_to_save: no module of this \(modelType) model ends with `\(word)`")
    }
    let names = tensors(of: subset, at: sites)
    if let site = sites.first(where: { names.contains($0.id.path + ".weight") }) {
      throw Refusal(
        "modules_to_save: \(site.id) is trained in full and adapted as well", remedy: "leave it out of one of the two")
    }
    return names
  }

  /// What an adapter puts in the place of the base's tensors, in `trained` or as the base has it: `names`, and the head where the
  /// table that it shares moves without it.
  public func standing(_ names: [String], _ trained: [String: Tensor] = [:]) -> [String: Tensor] {
    var names = names
    if let head = sharedHead, !names.contains(head.name), names.contains(head.table) { names.append(head.name) }
    return Dictionary(names.map { ($0, trained[$0] ?? values(of: $0)) }) { first, _ in first }
  }

  /// The head without a weight of its own: what that would be called, and the table it is.
  public var sharedHead: (site: Site, name: String, table: String)? {
    guard let site = sites.first(where: { $0.use == "head" }) else { return nil }
    let name = site.id.path + ".weight"
    guard !parameters.contains(where: { $0.name == name }),
      let table = parameters.first(where: { $0.shape == [site.outputs, site.inputs] })
    else { return nil }
    return (site, name, table.name)
  }
}
