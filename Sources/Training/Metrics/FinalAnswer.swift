/// What a text says at its end, behind its last `####`, as the solutions of GSM8K do: `#### 1,234`.
///
/// Of the rest of that line, what begins with a number is that number alone, as in the evaluation of the data's authors: a sign, a
/// `$`, digits with commas among them and decimals, whatever follows. Numbers are equal when their values are: `$1,234.50` is
/// `1234.5`, `007.` is `7`. Another answer is the line without the blanks around it.
public struct FinalAnswer: Sendable, Hashable {
  /// A number without commas, leading zeros and decimals of no value; or another answer as it stands.
  public let text: String

  /// Nil where there is no mark, or nothing behind it.
  public init?(in text: String) {
    let bytes = Array(text.utf8)
    guard let start = Self.endOfLastMark(bytes) else { return nil }
    let line = bytes[start...].prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
    let answer = String(decoding: line, as: UTF8.self).trimmingBlanks
    guard !answer.isEmpty else { return nil }
    self.text = Self.number(Array(answer.utf8)) ?? answer
  }

  private static func endOfLastMark(_ bytes: [UInt8]) -> Int? {
    var (end, length) = (bytes.count, 0)
    // From the end, so that of five signs the last four count.
    for index in bytes.indices.reversed() {
      guard bytes[index] == UInt8(ascii: "#") else {
        length = 0
        continue
      }
      if length == 0 { end = index + 1 }
      length += 1
      if length == 4 { return end }
    }
    return nil
  }

  /// The number a text begins with, in the one way of writing it; nil where it begins with none.
  private static func number(_ bytes: [UInt8]) -> String? {
    var rest = bytes[...]
    let isNegative = removeSign(&rest)
    let whole = digits(&rest, grouped: true)
    var decimals: [UInt8] = []
    if rest.first == UInt8(ascii: ".") {
      rest.removeFirst()
      decimals = digits(&rest, grouped: false)
    }
    guard !whole.isEmpty || !decimals.isEmpty else { return nil }
    let zero = UInt8(ascii: "0")
    let units = Array(whole.drop { $0 == zero })
    while decimals.last == zero { decimals.removeLast() }
    if units.isEmpty, decimals.isEmpty { return "0" }
    let parts = [units.isEmpty ? [zero] : units] + (decimals.isEmpty ? [] : [decimals])
    return (isNegative ? "-" : "") + parts.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ".")
  }

  /// Takes a sign, a `$` and blanks away, in whatever order they stand; whether the sign was a minus.
  private static func removeSign(_ rest: inout ArraySlice<UInt8>) -> Bool {
    let minuses: [[UInt8]] = [Array("-".utf8), Array("\u{2212}".utf8)]
    var isNegative = false
    var hasSign = false
    while let byte = rest.first {
      if byte == UInt8(ascii: "$") || byte == UInt8(ascii: " ") {
        rest.removeFirst()
      } else if !hasSign, let minus = minuses.first(where: { rest.starts(with: $0) }) {
        rest.removeFirst(minus.count)
        (isNegative, hasSign) = (true, true)
      } else if !hasSign, byte == UInt8(ascii: "+") {
        rest.removeFirst()
        hasSign = true
      } else {
        break
      }
    }
    return isNegative
  }

  /// Takes digits away, with commas among them where they are grouped.
  private static func digits(_ rest: inout ArraySlice<UInt8>, grouped: Bool) -> [UInt8] {
    func isDigit(_ byte: UInt8?) -> Bool { byte.map { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) } ?? false }
    var digits: [UInt8] = []
    while let byte = rest.first {
      let isComma = grouped && byte == UInt8(ascii: ",") && !digits.isEmpty && isDigit(rest.dropFirst().first)
      guard isComma || isDigit(byte) else { break }
      if !isComma { digits.append(byte) }
      rest.removeFirst()
    }
    return digits
  }
}
