import PEFTKernel
import Registry

/// Every method of this package: its code and its entries in `methods/`.
public enum Catalog {
  /// What the methods register, in the order of the list in `Package.swift`.
  public static let plugins: [Plugin] = []

  /// The files of `methods/`.
  public static let entries: [EntrySource] = []

  /// The registry of these methods, and of a user's own entries in `folders`.
  public static func registry(folders: [String] = []) throws -> MethodRegistry {
    try MethodRegistry(plugins: plugins, entries: entries, folders: folders)
  }
}
