/// Puts special tokens around the ids of a text, or of two.
protocol PostProcessor: Sendable {
  /// - Parameter sequences: the texts, or what an earlier processor made of them.
  func process(_ sequences: [Sequence], addsSpecialTokens: Bool) -> [Sequence]

  /// How many tokens are put around one text or two.
  func addedTokens(isPair: Bool) -> Int

  /// Whether there is a way to put two texts together.
  var takesPairs: Bool { get }

  typealias Sequence = EncodedSequence
}

extension PostProcessor {
  var takesPairs: Bool { true }
}

/// Consecutive ids with what goes with them.
struct EncodedSequence: Sendable {
  var ids: [Int]
  var types: [Int]
  /// Whether an id was put in by a post-processor.
  var isSpecial: [Bool]
  /// For ids of a traced text, the bytes that they were made of.
  var places: [Range<Int>?]

  init(ids: [Int], type: Int, isSpecial: Bool = false, places: [Range<Int>?]? = nil) {
    self.ids = ids
    types = Array(repeating: type, count: ids.count)
    self.isSpecial = Array(repeating: isSpecial, count: ids.count)
    self.places = places ?? Array(repeating: nil, count: ids.count)
  }

  static func + (one: EncodedSequence, other: EncodedSequence) -> EncodedSequence {
    var sum = one
    sum.ids += other.ids
    sum.types += other.types
    sum.isSpecial += other.isSpecial
    sum.places += other.places
    return sum
  }

  func slice(_ range: Range<Int>) -> EncodedSequence {
    var slice = self
    slice.ids = Array(ids[range])
    slice.types = Array(types[range])
    slice.isSpecial = Array(isSpecial[range])
    slice.places = Array(places[range])
    return slice
  }

  mutating func setType(_ type: Int) { types = Array(repeating: type, count: ids.count) }
}

enum PostProcessors {
  /// The steps of a `post_processor` field, sequences flattened.
  static func read(_ field: Field, _ vocabulary: Vocabulary) throws(TokenizerError) -> [any PostProcessor] {
    if field.isNull { return [] }
    switch try field.type() {
    // Moves offsets only, and this room gives none.
    case "ByteLevel": return []
    case "TemplateProcessing": return [try Template(field, vocabulary)]
    case "BertProcessing":
      return [EndMarks(start: try token(field["cls"], vocabulary), end: try token(field["sep"], vocabulary), isRoberta: false)]
    case "RobertaProcessing":
      return [EndMarks(start: try token(field["cls"], vocabulary), end: try token(field["sep"], vocabulary), isRoberta: true)]
    case "Sequence":
      var steps: [any PostProcessor] = []
      for item in try field["processors"].items() {
        let more = try read(item, vocabulary)
        // A template needs the texts themselves, not what another has made of them.
        if !steps.isEmpty, more.contains(where: { $0 is Template }), steps.contains(where: { $0 is Template }) {
          throw item.refusal("a second template is not supported")
        }
        steps += more
        guard steps.count <= 8 else { throw item.refusal("more than 8 processors are not supported") }
      }
      return steps
    case let type: throw field.unsupported(type: type)
    }
  }

  /// `["[SEP]", 102]`
  private static func token(_ field: Field, _ vocabulary: Vocabulary) throws(TokenizerError) -> Int {
    let items = try field.items()
    guard items.count == 2 else { throw field.refusal("expected a token and its id") }
    _ = try items[0].string()
    let id = Int(try items[1].tokenID())
    // A model has no embedding for it.
    guard vocabulary.token(of: id) != nil else { throw items[1].refusal("\(id) is the id of no token") }
    return id
  }
}

/// BERT's way: `[CLS] A [SEP] B [SEP]`, the second text of type 1; and RoBERTa's: `<s> A </s> </s> B </s>`, all of type 0.
struct EndMarks: PostProcessor {
  let start: Int
  let end: Int
  let isRoberta: Bool

  func addedTokens(isPair: Bool) -> Int { isPair ? (isRoberta ? 4 : 3) : 2 }

  func process(_ sequences: [EncodedSequence], addsSpecialTokens: Bool) -> [EncodedSequence] {
    sequences.enumerated().map { i, sequence in
      var sequence = sequence
      if isRoberta { sequence.setType(0) }
      guard addsSpecialTokens else { return sequence }
      func mark(_ id: Int) -> EncodedSequence { EncodedSequence(ids: [id], type: i == 0 || isRoberta ? 0 : 1, isSpecial: true) }
      // What was special inside counts as text now, as it does to the library.
      sequence.isSpecial = Array(repeating: false, count: sequence.ids.count)
      if i == 0 { return mark(start) + sequence + mark(end) }
      return isRoberta ? mark(end) + sequence + mark(end) : sequence + mark(end)
    }
  }
}
