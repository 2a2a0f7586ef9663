import LoRAPlus
import Testing

@Suite struct LoRAPlusTests {
  @Test func isNamed() { #expect(LoRAPlusMethod.plugin.name == "lo-raplus") }
}
