import BlockLoRA
import Testing

@Suite struct BlockLoRATests {
  @Test func isNamed() { #expect(BlockLoRAMethod.plugin.name == "block-lo-ra") }
}
