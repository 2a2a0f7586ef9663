import SALT
import Testing

@Suite struct SALTTests {
  @Test func isNamed() { #expect(SALTMethod.plugin.name == "salt") }
}
