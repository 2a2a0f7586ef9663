// The one use of full Foundation in this room: neither the standard library nor FoundationEssentials offers
// normalization in public.
import Foundation

/// Canonical composition, as of Unicode 9: that is what the `tokenizers` library composes by.
struct NFC: Normalizer {
  func normalize(_ text: inout [UInt8]) {
    // Scalars below U+0300, whose encodings have no byte from 0xCC on, neither compose nor change.
    guard text.contains(where: { $0 >= 0xCC }) else { return }
    var composed: [UInt8] = []
    composed.reserveCapacity(text.count)
    var start = 0
    while start < text.count {
      let end = text.skip(from: start, to: text.count, while: Self.mayChange)
      composed += Self.compose(text[start..<end])
      start = text.skip(from: end, to: text.count) { !Self.mayChange($0) }
      composed += text[end..<start]
    }
    text = composed
  }

  /// Whether a scalar takes part at all. Later ones do not, nor does U+11A7, the empty final of Hangul, which
  /// Foundation on Linux composes into nothing.
  private static func mayChange(_ scalar: Unicode.Scalar) -> Bool {
    scalar.isASCII || (scalar.value != 0x11A7 && scalar.isAssigned(by: 9))
  }

  private static func compose(_ text: ArraySlice<UInt8>) -> String.UTF8View {
    // By way of the decomposed form: Foundation on Linux leaves a final after a composed syllable where it stands.
    String(decoding: text, as: UTF8.self).decomposedStringWithCanonicalMapping.precomposedStringWithCanonicalMapping.utf8
  }
}
