import WaRA
import Testing

@Suite struct WaRATests {
  @Test func isNamed() { #expect(WaRAMethod.plugin.name == "wa-ra") }
}
