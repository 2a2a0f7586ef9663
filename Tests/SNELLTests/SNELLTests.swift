import SNELL
import Testing

@Suite struct SNELLTests {
  @Test func isNamed() { #expect(SNELLMethod.plugin.name == "snell") }
}
