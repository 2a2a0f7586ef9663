import QWHA
import Testing

@Suite struct QWHATests {
  @Test func isNamed() { #expect(QWHAMethod.plugin.name == "qwha") }
}
