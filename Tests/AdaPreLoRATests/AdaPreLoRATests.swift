import AdaPreLoRA
import Testing

@Suite struct AdaPreLoRATests {
  @Test func isNamed() { #expect(AdaPreLoRAMethod.plugin.name == "ada-pre-lo-ra") }
}
