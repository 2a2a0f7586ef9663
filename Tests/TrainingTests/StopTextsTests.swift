import Testing
import Training

@Suite struct StopTextsTests {
  /// However a text is cut into pieces, what is given out is what stands before the first stop text.
  @Test(arguments: [
    ("one two END three", ["END"], "one two "), ("aab", ["aab", "ab"], ""), ("abababc", ["ababc"], "ab"), ("no end", ["ENDE"], "no end"),
    ("E EN END", ["END"], "E EN "), ("later or earlier", ["lier", "or"], "later "), ("ends in EN", ["END"], "ends in EN"),
    ("grüße 🙂 stop", ["🙂"], "grüße "), ("nothing stops", [""], "nothing stops"),
  ])
  func textsEndBeforeTheFirstStop(_ text: String, _ stops: [String], _ expected: String) {
    let scalars = Array(text)
    for width in 1...scalars.count {
      var rule = StopTexts(stops)
      var given = ""
      for start in stride(from: 0, to: scalars.count, by: width) {
        given += rule.append(String(scalars[start..<min(scalars.count, start + width)]))
      }
      let isEnded = rule.isEnded
      given += rule.finish()
      #expect(given == expected && isEnded == (expected != text))
    }
  }
}
