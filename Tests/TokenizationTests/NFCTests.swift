import Foundation
import Testing

@testable import Tokenization

@Suite struct NFCTests {
  /// What the normalizer passes over must be unchanged when alone, and must not join what stands before it.
  @Test func passesOverOnlyWhatIsStable() {
    var joining: Set<Unicode.Scalar> = []
    for scalar in (0..<UInt32(0x110000)).compactMap(Unicode.Scalar.init) where NFC.takesPart(scalar) {
      let parts = Array(String(scalar).decomposedStringWithCanonicalMapping.unicodeScalars)
      if parts.count > 1 { joining.formUnion(parts.dropFirst()) }
      guard !NFC.isActive(scalar) else { continue }
      let alone = Array(String(scalar).utf8)
      if scalar.properties.canonicalCombiningClass != .notReordered || !NFC.compose(alone[...]).elementsEqual(alone) {
        Issue.record("U+\(String(scalar.value, radix: 16))")
      }
    }
    #expect(joining.count > 50)
    #expect(joining.filter { !NFC.isActive($0) }.isEmpty)
  }

  @Test(arguments: [
    ("e\u{301}", "\u{E9}"), ("e\u{327}\u{301}", "\u{229}\u{301}"), ("xe\u{301}x", "x\u{E9}x"), ("\u{301}", "\u{301}"),
    ("\u{212B}\u{2126}", "\u{C5}\u{3A9}"), ("\u{304B}\u{3099}", "\u{304C}"), ("\u{1112}\u{1161}\u{11AB}", "\u{D55C}"),
    ("\u{AC00}\u{11A8}", "\u{AC01}"), ("\u{AC00}\u{11A7}", "\u{AC00}\u{11A7}"), ("\u{958}", "\u{915}\u{93C}"),
    // Since Unicode 13 and 10: not known to the reference.
    ("\u{11935}\u{11930}", "\u{11935}\u{11930}"), ("\u{2DF7}\u{11D44}", "\u{2DF7}\u{11D44}"),
  ])
  func composes(_ text: String, _ expected: String) {
    var bytes = Array(text.utf8)
    NFC().normalize(&bytes)
    #expect(bytes == Array(expected.utf8))
  }
}
