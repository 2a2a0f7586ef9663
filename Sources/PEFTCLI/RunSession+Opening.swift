import Models
import PEFTKernel
import Registry
import Training

extension RunSession {
  /// Opens a run file. Selectors are reported together with every other fault of the file.
  static func open(_ path: String, _ call: Invocation) throws -> RunSession {
    let registry = try call.registry()
    return try RunSession(RunFile.load(path, registry: registry, sites: sites), registry: registry)
  }

  /// What a run file's selectors choose from.
  static func sites(_ model: String, _ fromScratch: Bool) throws -> [Site] {
    fromScratch ? try ModelLoader.openFresh(config: model, seed: 0).adaptable : try ModelLoader.open(model).adaptable
  }
}
