import Masked
import Testing

@Suite struct MaskedTests {
  @Test func isNamed() { #expect(MaskedMethod.plugin.name == "masked") }
}
