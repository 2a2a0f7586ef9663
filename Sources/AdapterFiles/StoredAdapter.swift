import Files
import JSON
import PEFTKernel
import Registry

/// An adapter as it was found in a directory.
public struct StoredAdapter: Sendable {
  public var adapter: Adapter
  /// Its method, with the options the files gave.
  public var entry: MethodEntry
  /// Words to the user: what the files could not say, what was passed over.
  public var notes: [String]
  /// What is needed to write it back as it was; nil where it came from another program's files, which are written on request only.
  public var origin: AdapterOrigin?

  public init(adapter: Adapter, entry: MethodEntry, notes: [String], origin: AdapterOrigin?) {
    self.adapter = adapter
    self.entry = entry
    self.notes = notes
    self.origin = origin
  }
}

/// How an adapter's files spelled it: a run that continues it writes the same names, shapes and config fields.
public struct AdapterOrigin: Sendable {
  /// adapter_config.json as it was read.
  public var config: JSON
  /// Canonical name of a tensor → its name in the file.
  var names: [String: String]
  /// The file, and its tensors that follow from others or are the base's: they are written back as they are.
  var source: SafetensorsFile
  var redundant: [String]

  var copies: [SafetensorsWriter.Tensor] {
    redundant.compactMap { name in source.entry(name).map { .init(copying: $0, of: source) } }
  }
}
