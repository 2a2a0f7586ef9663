import JSON
import Testing

@Suite struct JSONWriterTests {
  static let sample: JSON = [
    "z": [1, 2.5, [], [:]], "a": ["text": "é\"\\\n\u{1}😀", "none": nil, "yes": true], "big": .int(.min),
  ]

  @Test func roundTrip() throws {
    #expect(try JSON(parsing: Self.sample.text()) == Self.sample)
    #expect(try JSON(parsing: Self.sample.text(indented: true)) == Self.sample)
  }

  @Test func forms() {
    #expect((["a": [1, true], "b": [:]] as JSON).text() == #"{"a": [1, true], "b": {}}"#)
    #expect((["a": [1]] as JSON).text(indented: true) == "{\n  \"a\": [\n    1\n  ]\n}")
    #expect(JSON.string("\u{1}\n").text() == #""\u0001\n""#)
    #expect(JSON.double(.nan).text() == "null")
  }

  @Test func sortsKeysByBytes() {
    #expect((["b": 1, "Z": ["y": 1, "x": 2]] as JSON).sorted.text() == #"{"Z": {"x": 2, "y": 1}, "b": 1}"#)
  }

  @Test func doublesKeepTheirBits() throws {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<1000 {
      let value = Double(bitPattern: random.next())
      guard value.isFinite else { continue }
      let back = try JSON(parsing: JSON.double(value).text()).double
      #expect(back?.bitPattern == value.bitPattern)
    }
  }
}
