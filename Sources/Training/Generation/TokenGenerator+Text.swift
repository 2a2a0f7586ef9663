import Models
import Tokenization

extension TokenGenerator {
  /// The continuation as one text, ended before the first of some texts, too.
  func text(_ tokenizer: Tokenizer, stops: [String]) -> String {
    var tokens = makeIterator()
    var stream = tokenizer.streamingDecoder()
    var stops = StopTexts(stops)
    var text = ""
    while !stops.isEnded, let id = tokens.next() { text += stops.append(stream.append(Int(id))) }
    return text + stops.append(stream.finish()) + stops.finish()
  }
}
