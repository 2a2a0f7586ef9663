/// How much of everything is done.
struct Scale: Sendable {
  var name: String
  /// Of a trial.
  var steps: Int
  var evalEvery: Int
  /// Runs at the chosen rate.
  var seeds: Int
  /// Learning rates are tried; else every method has one of its own guess.
  var sweeps: Bool
  /// Rows of the evaluation file that choose rates and draw curves, rows that are reported, and rows of the base's own text.
  var validation: Int
  var heldOut: Int
  var ownText: Int
  /// Examples that a start looks at, and examples that its error is measured on.
  var calibration: Int
  var measured: Int
  /// Width of the model whose memory is measured, and of the single site.
  var width: Int
  var site: Int
  /// Times that a duration is taken.
  var repeats: Int

  var isReduced: Bool { name != "full" }

  static let full = Scale(
    name: "full", steps: 100, evalEvery: 10, seeds: 4, sweeps: true, validation: 40, heldOut: 160, ownText: 16, calibration: 128,
    measured: 64, width: 1024, site: 4096, repeats: 9)

  static let reduced = Scale(
    name: "reduced", steps: 4, evalEvery: 2, seeds: 2, sweeps: false, validation: 4, heldOut: 6, ownText: 2, calibration: 8,
    measured: 4, width: 256, site: 512, repeats: 3)
}
