import ArgumentParser
import Models

/// How tokens are drawn.
struct SamplingOptions: ParsableArguments {
  @Option(help: "0 takes the likeliest token; larger values draw more freely.")
  var temperature = 0.0

  @Option(help: "Draw from this many of the likeliest tokens at most.")
  var topK: Int?

  @Option(help: "Draw from the likeliest tokens that together have this probability.")
  var topP = 1.0

  @Option(help: "Above 1, tokens that the text has already become less likely.")
  var repetitionPenalty = 1.0

  @Option(help: "What the draws follow from.")
  var seed: UInt64 = 0

  @Option(help: ArgumentHelp("A text before which the answer ends; may be repeated.", valueName: "text"))
  var stop: [String] = []

  func validate() throws {
    if !(temperature >= 0 && temperature.isFinite) { throw ValidationError("--temperature must be a number of at least 0") }
    if !(topP > 0 && topP <= 1) { throw ValidationError("--top-p must be in (0, 1]") }
    if let topK, topK < 1 { throw ValidationError("--top-k must be at least 1") }
    if !(repetitionPenalty > 0 && repetitionPenalty.isFinite) {
      throw ValidationError("--repetition-penalty must be a number above 0; 1 is none")
    }
    if stop.contains("") { throw ValidationError("--stop must not be empty") }
  }

  var sampling: Sampling {
    Sampling(temperature: temperature, topK: topK, topP: topP, repetitionPenalty: repetitionPenalty, seed: seed)
  }
}
