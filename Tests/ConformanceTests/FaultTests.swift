import Engine
import Files
import PEFTKernel
import Testing

@testable import Conformance

/// The suite itself: a sound method passes every law, and each planted fault is caught by the law it breaks.
@Suite struct FaultTests {
  @Test(arguments: Law.all) func aSoundMethodUpholds(_ law: Law) throws {
    try withGolden { golden in
      var conformance = try Fault.none.conformance()
      conformance.goldens = [golden]
      for failure in law.check(conformance) { Issue.record("\(failure)") }
    }
  }

  @Test(arguments: [
    (Fault.scale, Law.goldens, "y: error"),
    (.gradient, .gradient, "the gradient of layers.0.wide.a is off"),
    (.gradient, .modelGradient, "q_proj.a is off its differences"),
    (.gradient, .movement, "a is trained, but did not move"),
    (.merge, .merge, "the merged map is off"),
    (.start, .start, "step 0 is off the base"),
    (.frozen, .movement, "c is frozen, but moved"),
    (.count, .layout, "but the formula says"),
    (.seed, .seed, "another seed gives the same start"),
    (.sharedState, .isolation, "after another was in use"),
    (.denseUpdate, .memory, "a step takes"),
    (.order, .order, "starts elsewhere when the sites come in another order"),
    (.stateBetweenSteps, .resume, "differs after a pause"),
    (.unsaved, .files, "is not what was saved"),
    (.deaf, .learning, "the loss went from"),
    (.hiddenCounter, .seed, "differs between two starts of one seed"),
    (.hiddenCounter, .reset, "starts elsewhere after training"),
  ]) func catches(_ fault: Fault, _ law: Law, _ words: String) throws {
    try withGolden { golden in
      var conformance = try fault.conformance()
      conformance.goldens = [golden]
      let failures = law.check(conformance)
      #expect(failures.contains { $0.message.contains(words) }, "\(failures)")
    }
  }

  /// A law is as strict about promises as about methods.
  @Test func wrongPromisesAreCaught() throws {
    var conformance = try Fault.none.conformance()
    conformance.merge = .refused(because: "it depends on the input")
    #expect(Law.merge.check(conformance).first?.message.contains("not refused") == true)
    conformance.axes = .init(projection: "other", initialization: "other", trainable: ["core"])
    #expect(Law.axes.check(conformance).count == 3)
    conformance.drawsStart = false
    #expect(Law.seed.check(conformance).first?.message.contains("depends on the seed") == true)
    conformance.goldens = ["no/such.safetensors"]
    #expect(Law.goldens.check(conformance).first?.message.contains("no/such.safetensors") == true)
    conformance.entry = "no-such-entry"
    #expect(Law.start.check(conformance).first?.message.contains("no-such-entry") == true)
  }

  /// A gradient check that trusted the tape about blocked values would call a straight-through gradient wrong.
  @Test func pinnedValuesStayWhereTheyAre() {
    let point = Tensor([0.3, -0.7, 1.2], .float64)
    let pins = Pins()
    let now = Moment(pins: pins)
    func objective(_ x: Tensor) -> Tensor { (x * now.stop(x)).sum }
    let leaf = point.tracked()
    objective(leaf).backward()
    let error = Differences.error(of: leaf.gradient ?? .zeros([3], .float64), at: point) { moved in
      pins.replay()
      return objective(moved).item
    }
    #expect(error < 1e-8)
  }

  /// A reference file of the faulty family, by loops that share nothing with the engine.
  private func withGolden(_ body: (String) throws -> Void) throws {
    let (rows, inputs, outputs, rank) = (3, 5, 4, 2)
    var random = Philox(key: 31)
    func matrix(_ m: Int, _ n: Int) -> [[Double]] {
      (0..<m).map { _ in (0..<n).map { _ in Double(Float(random.normal())) } }
    }
    func product(_ a: [[Double]], _ b: [[Double]]) -> [[Double]] {
      a.map { row in b[0].indices.map { j in row.indices.reduce(0) { $0 + row[$1] * b[$1][j] } } }
    }
    func transpose(_ a: [[Double]]) -> [[Double]] { a[0].indices.map { j in a.map { $0[j] } } }
    func scaled(_ a: [[Double]], _ factor: Double) -> [[Double]] { a.map { $0.map { $0 * factor } } }
    func sum(_ a: [[Double]], _ b: [[Double]]) -> [[Double]] { zip(a, b).map { zip($0, $1).map { $0 + $1 } } }

    let (x, dy, w) = (matrix(rows, inputs), matrix(rows, outputs), matrix(outputs, inputs))
    let (a, b, c) = (matrix(rank, inputs), matrix(outputs, rank), matrix(rank, rank))
    let bias = matrix(1, outputs)[0]
    let merged = sum(w, scaled(product(product(b, c), a), 2))
    let y = product(x, transpose(merged)).map { zip($0, bias).map { $0 + $1 } }
    let dw = scaled(product(transpose(dy), x), 2)
    let tensors: [String: [[Double]]] = [
      "weight": w, "x": x, "dy": dy, "y": y, "merged": merged, "dx": product(dy, merged), "trainable.a": a, "trainable.b": b,
      "trainable.c": c, "trainable.bias": [bias], "grad.a": product(transpose(product(b, c)), dw),
      "grad.b": product(dw, transpose(product(c, a))), "grad.c": product(product(transpose(b), dw), transpose(a)),
      "grad.bias": [outputs.range.map { j in dy.reduce(0) { $0 + $1[j] } }],
    ]
    try ScratchFolder.using { folder in
      let path = Folder.join(folder, "faulty.0.safetensors")
      try SafetensorsWriter.write(
        tensors.sorted { $0.key < $1.key }.map { name, rows in
          let shape = name.hasSuffix("bias") ? [rows[0].count] : [rows.count, rows[0].count]
          return .init(name: name, shape: shape, floats: rows.joined().map { Float($0) })
        }, metadata: ["method": "faulty", "config": "{}"], to: path)
      try body(path)
    }
  }
}

extension Int {
  fileprivate var range: Range<Int> { 0..<self }
}
