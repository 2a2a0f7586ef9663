import Engine
import Files
import JSON
import Models
import PEFTKernel

/// `trainable_token_indices`: rows of a table that were trained in the place of its own.
///
/// Here the whole table belongs to the adapter then, its other rows as the base has them: what the model computes is the same, and a
/// run that goes on trains the table.
struct PEFTTokenRows {
  /// By the name of the table's tensor: which rows, in the order of the file.
  private(set) var rows: [String: [Int]] = [:]

  /// What files may call the rows of a table.
  private static func names(_ name: String, _ model: any Model) -> [String] {
    AdapterNames([], of: model).all(trained: name).map {
      String($0.dropLast("weight".count)) + "token_adapter.trainable_tokens_delta"
    }
  }

  init(_ folder: AdapterFolder, _ model: any Model) throws(FileError) {
    let given = folder.config["trainable_token_indices"] ?? .null
    guard !PEFTDialect.isUnset(given) else { return }
    func fault(_ what: String) -> FileError { FileError(.badData, folder.configPath, "trainable_token_indices: \(what)") }
    let tables = model.tables.map { $0.id.path }
    var byWord: [(word: String, ids: JSON)] = []
    if let members = given.members {
      byWord = members.map { ($0.key, $0.value) }
    } else if let token = model.tables.first(where: { $0.use == "embedding.token" }) {
      byWord = [(token.id.path, given)]
    }
    for (word, ids) in byWord {
      let paths = (tables + [model.sharedHead?.site.id.path].compactMap { $0 }).filter { $0.hasSuffix(word) }
      guard !word.isEmpty, let path = paths.first, paths.count == 1 else {
        throw fault("`\(word)` names no embedding table of this \(model.modelType) model")
      }
      let name = path + ".weight"
      guard let numbers = ids.array?.map(\.int), !numbers.contains(nil), !numbers.isEmpty else {
        throw fault("is no list of ids")
      }
      let count = model.shape(of: name)?.first ?? 0
      if let wrong = numbers.compactMap({ $0 }).first(where: { $0 < 0 || $0 >= count }) {
        throw fault("\(wrong) is no row of \(path), which has \(count)")
      }
      rows[name] = numbers.compactMap { $0 }
    }
    // A head that is the table has its rows.
    if let head = model.sharedHead, let ids = rows[head.table], rows[head.name] == nil { rows[head.name] = ids }
  }

  /// The subset with the tables among its modules. Refuses tables that are trained in full already.
  func extend(_ subset: inout TrainableSubset, _ model: any Model, _ folder: AdapterFolder, _ notes: inout [String])
    throws(FileError)
  {
    guard !rows.isEmpty else { return }
    let full = model.tensors(of: subset, at: [])
    if let name = rows.keys.sorted().first(where: full.contains) {
      throw FileError(.badData, folder.configPath, "trainable_token_indices: \(name) is in modules_to_save as well")
    }
    let names = rows.keys.sorted()
    subset.modules += names.map { String($0.dropLast(".weight".count)) }
    notes.append(
      "trainable_token_indices: \(names.joined(separator: ", ")) \(names.count == 1 ? "is" : "are") kept whole, and a run that goes on "
        + "trains every row")
  }

  /// A table with the rows of the file in their places; nil where the file has none for it.
  func table(_ name: String, _ delta: Tensor, _ model: any Model) -> Tensor {
    let table = model.values(of: name)
    var values = table.floats
    let (width, floats) = (table.columns, delta.floats)
    for (index, row) in (rows[name] ?? []).enumerated() {
      values.replaceSubrange(row * width..<(row + 1) * width, with: floats[index * width..<(index + 1) * width])
    }
    return Tensor(values, shape: table.shape)
  }

  /// What is to be read of the file for `name`, one of the tensors that belong to the adapter; nil for what shares another's rows.
  func part(_ name: String, _ model: any Model, _ spelled: AdapterNames, in weights: SafetensorsFile) -> TrainedTensor? {
    guard let ids = rows[name] else {
      return TrainedTensor(name: name, names: spelled.all(trained: name), shape: model.shape(of: name) ?? [])
    }
    let names = Self.names(name, model)
    // A tied head has no rows of its own in the file.
    if let head = model.sharedHead, head.name == name, rows[head.table] != nil,
      !weights.tensors.contains(where: { KnownTensors([names]).resolve($0.name) != nil })
    {
      return nil
    }
    return TrainedTensor(name: name, names: names, shape: [ids.count, model.shape(of: name)?.last ?? 0])
  }

  /// The tensors that belong to the adapter, from what was read.
  func whole(_ read: [String: Tensor], _ model: any Model) -> [String: Tensor] {
    var whole = read
    for name in rows.keys { whole[name] = read[name].map { table(name, $0, model) } }
    if let head = model.sharedHead, rows[head.name] != nil, whole[head.name] == nil {
      whole[head.name] = whole[head.table]?.copied()
    }
    return whole
  }
}
