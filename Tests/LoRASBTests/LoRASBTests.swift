import LoRASB
import Testing

@Suite struct LoRASBTests {
  @Test func isNamed() { #expect(LoRASBMethod.plugin.name == "lo-rasb") }
}
