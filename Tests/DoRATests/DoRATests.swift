import DoRA
import Testing

@Suite struct DoRATests {
  @Test func isNamed() { #expect(DoRAMethod.plugin.name == "do-ra") }
}
