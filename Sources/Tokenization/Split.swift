/// Cuts words by one of the well-known patterns.
///
/// Those patterns match every scalar, so keeping matches and rest apart (`Isolated`) and dropping the rest
/// (`Removed`, inverted) are the same; other behaviors are refused.
struct Split: PreTokenizer {
  let pattern: SplitPattern

  init(_ field: Field) throws(TokenizerError) {
    let regex = field["pattern"]["Regex"]
    guard !regex.isNull else { throw field["pattern"].refusal("only a \"Regex\" pattern is supported") }
    let text = try regex.string()
    guard let pattern = SplitPattern(regex: text) else {
      throw regex.refusal("the pattern \(quoted(text)) is not supported")
    }
    let behavior = try field["behavior"].string()
    let isInverted = try field["invert"].bool(default: false)
    guard behavior == "Isolated" || (behavior == "Removed" && isInverted) else {
      throw field["behavior"].refusal("\(quoted(behavior))\(isInverted ? ", inverted," : "") is not supported")
    }
    self.pattern = pattern
  }

  func apply(to text: inout PreTokenizedText) {
    pattern.cut(&text)
  }
}
