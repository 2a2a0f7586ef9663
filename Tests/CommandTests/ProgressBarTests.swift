import Testing

@testable import PEFTCLI

@Suite struct ProgressBarTests {
  @Test func showsTheStepsOwnLossInFixedDigits() {
    let bar = ProgressBar(step: 3, steps: 12, loss: 2.5, tokensPerSecond: 5120, secondsLeft: 80)
    #expect(bar.text(width: 80, isUnicode: false).hasSuffix(".]  3/12  loss 2.5000  5,120 tok/s  1 min 20 s left"))
    #expect(ProgressBar(step: 1, steps: 2, loss: -.nan).text(width: 10, isUnicode: false) == "1/2  loss")
    #expect(ProgressBar(label: "examples", step: 4, steps: 8).text(width: 27, isUnicode: true) == "[█████░░░░░]  examples 4/8")
  }

  @Test func whatIsNoNumberHasNoSign() {
    #expect([Format.fixed(-.nan, 2), Format.significant(-.nan), Format.plain(-.nan)] == ["nan", "nan", "nan"])
  }
}
