import Testing
import Training

@testable import PEFTCLI

@Suite struct ClassificationReportTests {
  private let metrics = Result {
    try ClassificationMetrics(
      probabilities: [[0.75, 0.25, 0], [0.25, 0.75, 0], [0.5, 0.25, 0.25], [0, 1, 0], [0, 0, 1]], labels: [0, 1, 1, 1, 0],
      names: ["no", "yes", "per\nhaps"])
  }

  @Test func columnsStandInLine() throws {
    #expect(
      try ClassificationReport(metrics.get()).lines(width: 80) == [
        "accuracy    0.6000, 3 of 5",
        "macro F1    0.4333",
        "ECE         0.4000, in 10 bins",
        "MCE         0.5000",
        "ACE         0.2000",
        "",
        "class         precision  recall      F1  examples",
        "no               0.5000  0.5000  0.5000         2",
        "yes              1.0000  0.6667  0.8000         3",
        "per\\u{a}haps     0.0000  0.0000  0.0000         0",
        "",
        "is \\ taken for  no  yes  per\\u{a}haps",
        "no               1    0             1",
        "yes              1    2             0",
        "per\\u{a}haps     0    0             0",
      ])
  }

  /// Where the table has no room, the commonest mistakes stand for it.
  @Test func wideTablesBecomeLists() throws {
    #expect(
      try ClassificationReport(metrics.get()).lines(width: 30).suffix(3) == [
        "is   taken for     examples", "no   per\\u{a}haps         1", "yes  no                   1",
      ])
    let count = 90
    let rows = (0..<count).map { row in (0..<count).map { $0 == row ? 1.0 : 0 } }
    let names = (0..<count).map { "a class with a name too long for any table, \($0)" }
    let right = try ClassificationMetrics(probabilities: rows, labels: Array(0..<count), names: names)
    let lines = ClassificationReport(right).lines(width: 80)
    #expect(lines.last == "no example was taken for another class" && lines.allSatisfy { $0.count <= 80 })
    let wrong = try ClassificationMetrics(probabilities: rows, labels: (0..<count).map { ($0 + 1) % count }, names: names)
    #expect(ClassificationReport(wrong).lines(width: 80).count == 6 + 91 + 1 + 11)
  }
}
