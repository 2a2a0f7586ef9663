// The one use of full Foundation in this room: neither the standard library nor FoundationEssentials offers
// normalization in public.
import Foundation

/// Canonical composition, as of Unicode 9: that is what the `tokenizers` library composes by.
struct NFC: Normalizer {
  func normalize(_ text: inout [UInt8]) {
    // Scalars below U+0300, whose encodings have no byte from 0xCC on, neither change nor join what stands before them.
    guard text.contains(where: { $0 >= 0xCC }) else { return }
    var composed: [UInt8] = []
    composed.reserveCapacity(text.count)
    var copied = 0
    var at = 0
    while at < text.count {
      let scalar = text.scalar(at: at)
      guard Self.isActive(scalar.value) else {
        at = scalar.end
        continue
      }
      // Only what is active can change, with the one scalar before it that it may join: Foundation is slow, and text
      // in most scripts is left as it is.
      var start = at
      if at > copied {
        let base = text.scalar(endingAt: at)
        if Self.takesPart(base.value) { start = base.start }
      }
      let end = text.skip(from: scalar.end, to: text.count, while: Self.isActive)
      composed += text[copied..<start]
      composed += Self.compose(text[start..<end])
      copied = end
      at = end
    }
    composed += text[copied...]
    text = composed
  }

  /// Whether composition heeds a scalar at all. Later ones it does not know; U+11A7, the empty final of Hangul, does
  /// nothing, but Foundation on Linux makes it vanish.
  static func takesPart(_ scalar: Unicode.Scalar) -> Bool {
    scalar.isASCII || (scalar.value != 0x11A7 && scalar.isAssigned(by: 9))
  }

  /// Whether a scalar may change, move, or join what stands before it; true of more than need be.
  static func isActive(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x300: return false
    // Beside the marks: Hangul's parts, and what has another form even when alone.
    case 0x340...0x3FF, 0x900...0xFFF, 0x1100...0x11FF, 0x1F00...0x2001, 0x2126...0x212B, 0x2329...0x232A, 0x2ADC,
      0xF900...0xFB4F, 0x1D15E...0x1D1C0, 0x2F800...0x2FA1F:
      return takesPart(scalar)
    default:
      switch scalar.properties.generalCategory {
      case .nonspacingMark, .spacingMark, .enclosingMark: return takesPart(scalar)
      default: return false
      }
    }
  }

  static func compose(_ text: ArraySlice<UInt8>) -> String.UTF8View {
    // By way of the decomposed form: Foundation on Linux leaves a final after a composed syllable where it stands.
    String(decoding: text, as: UTF8.self).decomposedStringWithCanonicalMapping.precomposedStringWithCanonicalMapping.utf8
  }
}
