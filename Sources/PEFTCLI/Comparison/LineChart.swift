#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Lines with bands over a common axis, as SVG whose colours the page's style sheet gives.
struct LineChart {
  struct Point {
    var x: Double
    var y: Double
    /// The band around y.
    var low: Double
    var high: Double
  }

  struct Series {
    var name: String
    /// Which of the page's colours.
    var color: Int
    var points: [Point]
  }

  var title: String
  var xLabel: String
  var yLabel: String
  /// Learning rates lie evenly by their logarithms.
  var isLogarithmic = false
  var series: [Series]

  /// Colours there are; beyond, lines are dashed.
  static let colors = 8
  private static let (width, height) = (860.0, 380.0)
  private static let (left, right, top, bottom) = (62.0, 12.0, 12.0, 44.0)

  var svg: String {
    let points = series.flatMap(\.points).filter { $0.y.isFinite }
    guard let x = Axis(points.map { isLogarithmic ? log10($0.x) : $0.x }, padding: isLogarithmic ? 0.05 : 0),
      let y = Axis(points.flatMap { [$0.low, $0.high, $0.y] }.filter(\.isFinite), padding: 0.04)
    else { return HTML.text("p", "No trial came to its end: there is nothing to draw.") }
    func place(_ point: Point, _ value: Double) -> String {
      let across = Self.left + x.share(isLogarithmic ? log10(point.x) : point.x) * (Self.width - Self.left - Self.right)
      return "\(Self.short(across)),\(Self.short(down(value, y)))"
    }
    var body = HTML.text("title", title)
    body += grid(x, y)
    for line in series {
      let points = line.points.filter { $0.y.isFinite }
      guard let first = points.first else { continue }
      if points.contains(where: { $0.high > $0.low }) {
        let around = points.map { place($0, $0.high) } + points.reversed().map { place($0, $0.low) }
        body += HTML.empty("polygon", ["class": "band c\(line.color % Self.colors)", "points": around.joined(separator: " ")])
      }
      let kind = "line c\(line.color % Self.colors)" + (line.color >= Self.colors ? " dashed" : "")
      body += HTML.element(
        "polyline", ["class": kind, "points": points.map { place($0, $0.y) }.joined(separator: " ")],
        HTML.text("title", line.name))
      if isLogarithmic || points.count == 1 {
        for point in points.isEmpty ? [first] : points {
          let at = place(point, point.y).split(separator: ",").map(String.init)
          body += HTML.element(
            "circle", ["class": "dot c\(line.color % Self.colors)", "cx": at[0], "cy": at[1], "r": "3.5"],
            HTML.text("title", "\(line.name), \(point.x): \(Format.fixed(point.y, 4))"))
        }
      }
    }
    return HTML.element(
      "svg", ["viewBox": "0 0 \(Self.short(Self.width)) \(Self.short(Self.height))", "role": "img", "aria-label": title], body)
  }

  private func down(_ value: Double, _ axis: Axis) -> Double {
    Self.height - Self.bottom - axis.share(value) * (Self.height - Self.top - Self.bottom)
  }

  /// Grid lines with their numbers, and the names of the axes.
  private func grid(_ x: Axis, _ y: Axis) -> String {
    let (end, floor) = (Self.width - Self.right, Self.height - Self.bottom)
    var body = ""
    for tick in y.ticks(6) {
      let at = Self.short(down(tick, y))
      body += HTML.empty("line", ["class": "grid", "x1": Self.short(Self.left), "x2": Self.short(end), "y1": at, "y2": at])
      body += HTML.text(
        "text", ["class": "tick end", "x": Self.short(Self.left - 7), "y": at, "dy": "0.32em"], Format.significant(tick, 6))
    }
    // Of rates those of the grid, of steps round ones.
    let xs =
      isLogarithmic
      ? Set(series.flatMap { $0.points.map(\.x) }).sorted().map { (log10($0), "\($0)") }
      : x.ticks(8).map { ($0, Format.significant($0, 9)) }
    for (value, label) in xs {
      let at = Self.short(Self.left + x.share(value) * (end - Self.left))
      body += HTML.empty("line", ["class": "grid", "x1": at, "x2": at, "y1": Self.short(Self.top), "y2": Self.short(floor)])
      body += HTML.text("text", ["class": "tick middle", "x": at, "y": Self.short(floor + 17)], label)
    }
    body += HTML.text(
      "text", ["class": "name middle", "x": Self.short((Self.left + end) / 2), "y": Self.short(Self.height - 6)], xLabel)
    let middle = Self.short((Self.top + floor) / 2)
    return body
      + HTML.text("text", ["class": "name middle", "transform": "translate(13 \(middle)) rotate(-90)"], yLabel)
  }

  private static func short(_ value: Double) -> String { Format.significant(value, 6) }
}

/// The range of an axis.
private struct Axis {
  var low: Double
  var high: Double

  /// Nil of no values. `padding` is a share of the range.
  init?(_ values: [Double], padding: Double) {
    guard let least = values.min(), let most = values.max(), least.isFinite, most.isFinite else { return nil }
    let margin = most > least ? (most - least) * padding : max(0.5, least.magnitude / 10)
    (low, high) = (least - margin, most + margin)
  }

  func share(_ value: Double) -> Double { (value - low) / (high - low) }

  /// Round numbers within, about `count` of them.
  func ticks(_ count: Int) -> [Double] {
    let raw = (high - low) / Double(count)
    let power = pow(10, floor(log10(raw)))
    let step = [1, 2, 2.5, 5, 10].map { $0 * power }.first { $0 >= raw } ?? raw
    guard step > 0, step.isFinite else { return [] }
    let first = Int((low / step).rounded(.up))
    let last = Int((high / step).rounded(.down))
    return first <= last ? (first...last).map { Double($0) * step } : []
  }
}
