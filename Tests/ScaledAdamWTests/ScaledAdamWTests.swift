import ScaledAdamW
import Testing

@Suite struct ScaledAdamWTests {
  @Test func isNamed() { #expect(ScaledAdamWMethod.plugin.name == "scaled-adam-w") }
}
