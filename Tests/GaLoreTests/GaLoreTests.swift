import GaLore
import Testing

@Suite struct GaLoreTests {
  @Test func isNamed() { #expect(GaLoreMethod.plugin.name == "ga-lore") }
}
