import PiSSA
import Testing

@Suite struct PiSSATests {
  @Test func isNamed() { #expect(PiSSAMethod.plugin.name == "pi-ssa") }
}
