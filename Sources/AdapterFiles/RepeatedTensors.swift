import Files
import PEFTKernel

/// Tensors of the whole model that a file holds again at every site.
struct RepeatedTensors {
  /// Canonical name → name in the file, with a site's copy for the model's own where only copies are there.
  private(set) var names: [String: String]

  /// Refuses a file whose copies are not one tensor: who reads it would take the one or the other.
  init(
    _ repeated: Set<String>, _ layout: [TensorSpec], _ names: [String: String], _ unknown: [String], _ weights: SafetensorsFile
  ) throws(FileError) {
    self.names = names
    for spec in layout where spec.key.scope == .model && repeated.contains(spec.key.name) {
      let name = spec.key.name
      let copies = unknown.filter { $0.hasSuffix("." + name) || $0.contains(".\(name).") }.sorted()
      guard let first = names[AdapterNames.plain(spec.key)] ?? copies.first else { continue }
      self.names[AdapterNames.plain(spec.key)] = first
      let bytes = try weights.bytes(of: first)
      for copy in copies where copy != first {
        guard weights.entry(copy)?.dtype == weights.entry(first)?.dtype, try weights.bytes(of: copy).elementsEqual(bytes) else {
          throw FileError(
            .badData, weights.path,
            "tensor '\(printable(copy))' differs from '\(printable(first))', though both are to be \(name)",
            remedy: "remove the copies that are not the one the adapter was trained with")
        }
      }
    }
  }
}
