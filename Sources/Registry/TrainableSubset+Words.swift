import PEFTKernel

// What moves, in the words that entries have for it.
extension TrainableSubset {
  /// The words for tensors of the base, beside `base:NAME` for a module.
  static let baseWords = ["base", "base.biases", "base.site-biases"]

  /// The NAME of `base:NAME`.
  static func module(_ word: String) -> String? {
    guard word.hasPrefix("base:"), word.utf8.count > 5 else { return nil }
    return String(word.dropFirst(5))
  }

  init(words: Set<String>, modules: [String]) {
    let biases: Biases = words.contains("base.biases") ? .all : words.contains("base.site-biases") ? .sites : .none
    self.init(roles: words.subtracting(Self.baseWords), base: words.contains("base"), modules: modules, biases: biases)
  }

  /// The same in words, roles in the order of their table.
  public var words: [String] {
    let biases: [String] =
      switch self.biases {
      case .none: []
      case .sites: ["base.site-biases"]
      case .all: ["base.biases"]
      }
    return Role.trainableNames.filter(roles.contains) + (base ? ["base"] : []) + biases + modules.map { "base:" + $0 }
  }
}
