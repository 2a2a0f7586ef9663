import AltLoRA
import Testing

@Suite struct AltLoRATests {
  @Test func isNamed() { #expect(AltLoRAMethod.plugin.name == "alt-lo-ra") }
}
