import Models
import Registry
import Training

extension RunSession {
  /// Opens a run file. Selectors are reported together with every other fault of the file.
  static func open(_ path: String, _ call: Invocation) throws -> RunSession {
    let registry = try call.registry()
    let file = try RunFile.load(path, registry: registry) { model, fromScratch in
      fromScratch ? try ModelLoader.fresh(config: model, seed: 0).sites : try ModelLoader.load(model).sites
    }
    return try RunSession(file, registry: registry)
  }
}
