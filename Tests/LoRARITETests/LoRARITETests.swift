import LoRARITE
import Testing

@Suite struct LoRARITETests {
  @Test func isNamed() { #expect(LoRARITEMethod.plugin.name == "lo-rarite") }
}
