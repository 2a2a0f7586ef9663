// The one use of full Foundation in this room: neither the standard library nor FoundationEssentials offers
// normalization in public.
import Foundation

/// Canonical composition.
struct NFC: Normalizer {
  func normalize(_ text: inout [UInt8]) {
    // Scalars below U+0300, whose encodings have no byte from 0xCC on, neither compose nor change.
    guard text.contains(where: { $0 >= 0xCC }) else { return }
    text = Array(String(decoding: text, as: UTF8.self).precomposedStringWithCanonicalMapping.utf8)
  }
}
