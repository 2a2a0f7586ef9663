import Files
import JSON
import Models
import PEFTKernel

/// A config and its tensors as a plugin's dialect has them: what one says of the other.
struct PEFTForm {
  let said: Dialect
  let folder: AdapterFolder
  let sites: [Site]
  /// The options read so far.
  var options: [String: OptionValue]
  var notes: [String] = []

  mutating func settle(on model: any Model) throws(FileError) {
    if said.refusesTransposed, let site = sites.first(where: { model.base($0.id).isTransposed }) {
      throw FileError(
        .badData, folder.configPath, "target_modules: chooses \(site.id), whose weight files hold transposed",
        cause: "PEFT has no \(said.type) there", remedy: "check that the adapter belongs to this base")
    }
    try makeUp()
    if let counts = said.counts { try count(counts, AdapterNames(sites, of: model)) }
  }

  /// Options for the tensors that the file leaves out.
  private mutating func makeUp() throws(FileError) {
    let names = folder.weights.tensors.map(\.name)
    for (tensor, absence) in said.absent.sorted(by: { $0.key < $1.key }) {
      let isThere = names.contains { $0 == tensor || $0.hasSuffix("." + tensor) || $0.contains(".\(tensor).") }
      if isThere { continue }
      for (field, value) in absence.needs.sorted(by: { $0.key < $1.key }) {
        let given = folder.config[field] ?? .null
        guard given.isNull || OptionValue(given) == value else {
          throw FileError(
            .badData, folder.weights.path, "lacks every \(tensor)",
            cause: "\(field) is \(given.text()), of which they cannot be made again", remedy: "save the adapter with them")
        }
      }
      options.merge(absence.options) { $1 }
    }
  }

  /// Counts by whole paths, as the tensors have them.
  private mutating func count(_ counts: Dialect.Counts, _ spelled: AdapterNames) throws(FileError) {
    guard let pattern = counts.pattern, case .map(let given)? = options[pattern], !given.isEmpty,
      counts.unless.map({ options[$0] != .bool(true) }) ?? true
    else { return }
    let known = KnownTensors(sites.map { spelled.all(TensorKey(counts.tensor, $0.id)) })
    let (found, _) = try known.matched(folder.weights.tensors.map(\.name), path: folder.weights.path)
    let allowed = [options[counts.option]].compactMap { $0?.number } + given.values.compactMap(\.number)
    var own: [String: OptionValue] = [:]
    for site in sites {
      guard let name = found[spelled.canonical(TensorKey(counts.tensor, site.id))],
        let shape = folder.weights.entry(name)?.shape, shape.count == 1
      else { continue }
      guard allowed.contains(Double(shape[0])) else {
        throw FileError(
          .badData, folder.weights.path, "tensor '\(printable(name))' has shape \(shape)",
          cause: "neither \(counts.option) nor \(pattern) says \(shape[0])", remedy: "correct \(AdapterFolder.configName)")
      }
      if options[counts.option] != .int(shape[0]) { own[site.id.path] = .int(shape[0]) }
    }
    options[pattern] = .map(own)
  }
}
