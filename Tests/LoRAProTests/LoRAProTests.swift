import LoRAPro
import Testing

@Suite struct LoRAProTests {
  @Test func isNamed() { #expect(LoRAProMethod.plugin.name == "lo-rapro") }
}
