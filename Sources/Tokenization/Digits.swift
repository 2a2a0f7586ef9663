/// Parts numbers from the rest, and digits from each other when `individual`.
struct Digits: PreTokenizer {
  let individual: Bool

  func apply(to text: inout PreTokenizedText) {
    text.cut { bytes, start, wordEnd in
      let first = bytes.scalar(at: start)
      let isNumeric = first.value.isNumeric
      if isNumeric, individual { return first.end }
      return bytes.skip(from: first.end, to: wordEnd) { $0.isNumeric == isNumeric }
    }
  }
}
