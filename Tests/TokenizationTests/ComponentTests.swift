import JSON
import Testing

@testable import Tokenization

/// Normalizers, pre-tokenizers and decoders one by one against the reference library, 50 texts to a digest.
@Suite struct ComponentTests {
  struct Component: Sendable, CustomTestStringConvertible {
    var kind: String
    var value: JSON
    var digests: [String]

    var testDescription: String { "\(kind) \(value.text())" }
  }

  private static let rows = Result { try Fixture.rows("components.jsonl") }
  private static let lists = Result {
    try Fixture.rows("tokens.jsonl").map { ($0.array ?? []).compactMap(\.string).map { Array($0.utf8) } }
  }
  /// The lines written for the purpose, and every fourth of the others.
  private static let texts = Result {
    try Fixture.texts().enumerated().filter { i, _ in i < 220 || i % 4 == 0 }.map { Array($1.utf8) }
  }

  private static func components(_ kind: String) -> [Component] {
    let rows = (try? rows.get()) ?? []
    return rows.filter { $0["kind"]?.string == kind }.map { row in
      Component(kind: kind, value: row["value"] ?? .null, digests: row["digests"]?.array?.compactMap(\.string) ?? [])
    }
  }

  private func check<Item>(_ component: Component, _ items: [Item], _ run: (Item) -> [UInt8]) {
    for (i, expected) in component.digests.enumerated() {
      let chunk = items[i * 50..<min(items.count, (i + 1) * 50)]
      var hashed: [UInt8] = []
      for (j, item) in chunk.enumerated() { hashed += (j == 0 ? [] : [0x0A]) + run(item) }
      #expect(digest(hashed) == expected, "items from \(i * 50 + 1) on")
    }
    #expect(component.digests.count == (items.count + 49) / 50)
  }

  @Test func thereAreComponents() {
    for kind in ["normalizer", "pre_tokenizer", "decoder"] { #expect(Self.components(kind).count >= 20) }
  }

  @Test(arguments: components("normalizer")) func normalizes(_ component: Component) throws {
    let steps = try Normalizers.read(Field(path: "normalizer", value: component.value))
    check(component, try Self.texts.get()) { text in
      var text = SourcedText(text)
      steps.normalize(&text)
      return text.bytes
    }
  }

  @Test(arguments: components("pre_tokenizer")) func cuts(_ component: Component) throws {
    let steps = try PreTokenizers.read(Field(path: "pre_tokenizer", value: component.value))
    check(component, try Self.texts.get()) { text in
      var text = PreTokenizedText(SourcedText(text, isTraced: true))
      for step in steps { step.apply(to: &text) }
      return Array(text.words.map { text.bytes[$0] }.joined(separator: [0x1F]))
    }
  }

  @Test(arguments: components("decoder")) func decodes(_ component: Component) throws {
    let steps = try Decoders.read(Field(path: "decoder", value: component.value))
    check(component, try Self.lists.get()) { tokens in
      var decoding = Decoding(steps)
      var text: [UInt8] = []
      for token in tokens { decoding.append(token, to: &text) }
      decoding.finish(&text)
      return Array(String(decoding: text, as: UTF8.self).utf8)
    }
  }
}
