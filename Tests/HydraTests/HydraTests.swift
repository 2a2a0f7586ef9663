import Hydra
import Testing

@Suite struct HydraTests {
  @Test func isNamed() { #expect(HydraMethod.plugin.name == "hydra") }
}
