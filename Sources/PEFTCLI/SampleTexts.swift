import Engine
import Models
import PEFTKernel
import Tokenization
import Training

/// The continuations a run file asks for, to be read before and after the training.
struct SampleTexts {
  private let model: any LanguageModel
  private let tokenizer: Tokenizer
  private let prompts: [[Int32]]
  private let maximumTokens: Int
  private let sampling: Sampling
  private let stopIDs: Set<Int32>

  /// Nil where the run file asks for none.
  init?(_ session: RunSession) throws {
    guard let settings = session.file.samples, let language = session.language else { return nil }
    model = language
    let tokenizer = try session.tokenizer ?? RunSession.tokenizer(of: language)
    self.tokenizer = tokenizer
    maximumTokens = settings.maxNewTokens
    sampling = Sampling(temperature: settings.temperature, topP: settings.topP, seed: session.file.seed)
    stopIDs = try RunSession.stopIDs(of: language, tokenizer)
    let opening = session.opening
    prompts = try settings.prompts.map { try opening.ids(of: $0, tokenizer) }
  }

  func texts(adapter: Adapter?, trained: [String: Tensor]) throws -> [String] {
    try prompts.map { prompt in
      let generator = try TokenGenerator(
        model, prompt: prompt, maximumTokens: maximumTokens, sampling: sampling, stopIDs: stopIDs,
        attachment: adapter?.attached(), trained: trained)
      var tokens = generator.makeIterator()
      var ids: [Int] = []
      while let id = tokens.next() { ids.append(Int(id)) }
      return tokenizer.decode(ids)
    }
  }
}
