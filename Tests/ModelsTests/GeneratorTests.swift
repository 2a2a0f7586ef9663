import Engine
import Files
import Models
import PEFTKernel
import Testing

@Suite struct GeneratorTests {
  private static let prompt: [Int32] = [11, 3, 70, 25, 8]

  @Test(arguments: Fixture.all) func greedyWithTheCacheIsTheArgmaxOfFullPasses(_ fixture: Fixture) throws {
    let model = try fixture.model()
    var expected: [Int32] = []
    while expected.count < 20 {
      let ids = Self.prompt + expected
      let last = logits(model, ids, lengths: [ids.count]).suffix(97)
      let best = try #require(last.indices.max { last[$0] < last[$1] })
      expected.append(Int32(best - last.startIndex))
    }
    let iterator = try TokenGenerator(model, prompt: Self.prompt, maximumTokens: 20).makeIterator()
    #expect(Array(IteratorSequence(iterator)) == expected)
  }

  /// Piece by piece, whatever the pieces, the rows are those of one pass.
  @Test(arguments: Fixture.all, [ScalarType.float32, .float64]) func cachedRowsAreThoseOfOnePass(
    _ fixture: Fixture, _ scalar: ScalarType
  ) throws {
    let model = try fixture.model()
    let ids = (0..<30).map { Int32($0 * 37 % 97) }
    func run(_ count: Int, _ cache: KVCache?) -> ModelRun {
      ModelRun(pass: Pass(now: Moment(), rows: RowLayout(lengths: [count]), sites: []), scalar: scalar, cache: cache)
    }
    let whole = model.hidden(ids, run(30, nil)).values
    for pieces in [[30], [7, 1, 1, 12, 9], [1, 29]] {
      // Room is made when it is needed: one for all of these positions would fit no machine.
      let cache = model.makeCache(capacity: 1 << 40)
      var rows: [Double] = []
      for count in pieces { rows += model.hidden(Array(ids[cache.count..<cache.count + count]), run(count, cache)).values }
      #expect(cache.count == 30)
      let worst = zip(rows, whole).map { abs($0 - $1) }.max() ?? 1
      #expect(rows.count == whole.count && worst < (scalar == .float32 ? 2e-5 : 1e-12))
    }
  }

  @Test func generationEndsWithThePositionsAtStopsAndAtTheLimit() throws {
    let model = try Fixture.gpt2.model()
    func tokens(_ count: Int, prompt: [Int32] = Self.prompt, stop: Set<Int32> = []) throws -> [Int32] {
      Array(IteratorSequence(try TokenGenerator(model, prompt: prompt, maximumTokens: count, stopIDs: stop).makeIterator()))
    }
    // 32 positions are read; the token after them can still be told.
    let all = try tokens(.max)
    #expect(all.count == 32 - 5 + 1)
    #expect(try tokens(3) == Array(all.prefix(3)))
    #expect(try tokens(0).isEmpty)
    let stop = all[6]
    #expect(try tokens(.max, stop: [stop]) == Array(all.prefix { $0 != stop }))
    #expect(throws: FileError.self) { try tokens(1, prompt: []) }
    #expect(throws: FileError.self) { try tokens(1, prompt: [97]) }
    #expect(throws: FileError.self) { try tokens(1, prompt: Array(repeating: 1, count: 33)) }
  }

  @Test func samplingFollowsSeedAndDistribution() {
    let logits: [Float] = [0.5, 2, -1, 1.2, -30]
    let total = logits.reduce(0) { $0 + Double.exp($1) }
    let sampling = Sampling(temperature: 1, seed: 5)
    var counts = [Int](repeating: 0, count: 5)
    for i in 0..<20_000 { counts[Int(sampling.choose(logits, index: i))] += 1 }
    for (count, logit) in zip(counts, logits) { #expect(abs(Double(count) / 20_000 - Double.exp(logit) / total) < 0.012) }
    #expect(sampling.choose(logits, index: 3) == sampling.choose(logits, index: 3))
    #expect(Sampling.greedy.choose(logits, index: 0) == 1)
    // 1 has 0.56 and 3 has 0.25: together past 0.6, and 1 alone past 0.5.
    let nucleus = Set((0..<200).map { Sampling(temperature: 1, topP: 0.6, seed: 1).choose(logits, index: $0) })
    #expect(nucleus == [1, 3])
    #expect(Set((0..<50).map { Sampling(temperature: 1, topP: 0.5, seed: 1).choose(logits, index: $0) }) == [1])
    #expect(Set((0..<50).map { Sampling(temperature: 1e-9, seed: 1).choose(logits, index: $0) }) == [1])
  }

  @Test func fewerCandidatesAndPenaltiesAreTransformersOwn() {
    let logits: [Float] = [0.5, 2, -1, 1.2, -30]
    let two = Set((0..<200).map { Sampling(temperature: 1, topK: 2, seed: 1).choose(logits, index: $0) })
    #expect(two == [1, 3])
    // Of the two, 1 has 0.69 of what is left.
    let one = Set((0..<200).map { Sampling(temperature: 1, topK: 2, topP: 0.6, seed: 1).choose(logits, index: $0) })
    #expect(one == [1])
    // 2 / 1.7 falls below 1.2; a negative logit is made smaller, not larger.
    let penalized = Sampling(repetitionPenalty: 1.7)
    #expect(penalized.choose(logits, index: 0, after: [1]) == 3)
    #expect(penalized.choose([-1, -1.1], index: 0, after: [0, 0]) == 1)
    #expect(penalized.choose(logits, index: 0, after: [0, 2]) == 1)
  }

  /// A conversation goes on from what was read, also where it goes back or elsewhere.
  @Test(arguments: Fixture.all) func whatWasReadChangesNothing(_ fixture: Fixture) throws {
    let model = try fixture.model()
    let memory = PromptMemory(model)
    func tokens(_ prompt: [Int32], _ memory: PromptMemory?) throws -> [Int32] {
      Array(IteratorSequence(try TokenGenerator(model, prompt: prompt, maximumTokens: 6).makeIterator(after: memory)))
    }
    var prompt = Self.prompt
    let first = try tokens(prompt, memory)
    #expect(try first == tokens(prompt, nil))
    // The last token was chosen and not read.
    #expect(memory.ids == prompt + first.dropLast())
    prompt += first + [9, 40]
    #expect(try tokens(prompt, memory) == tokens(prompt, nil))
    prompt = Array(prompt.prefix(7)) + [33]
    #expect(try tokens(prompt, memory) == tokens(prompt, nil))
    #expect(try tokens([2], memory) == tokens([2], nil))
    // All of it is known: the last token is read again for its logits.
    #expect(try tokens([2], memory) == tokens([2], nil))
  }

  @Test func theSequenceHonoursCancellation() async throws {
    let generator = try TokenGenerator(
      Fixture.llama.model(), prompt: Self.prompt, maximumTokens: 27, sampling: Sampling(temperature: 1, seed: 2))
    var seen: [Int32] = []
    for try await id in generator { seen.append(id) }
    #expect(seen == Array(IteratorSequence(generator.makeIterator())))
    let task = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      for try await _ in generator {}
    }
    await #expect(throws: CancellationError.self) { try await task.value }
  }
}

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

extension Double {
  fileprivate static func exp(_ x: Float) -> Double {
    #if canImport(Glibc)
      Glibc.exp(Double(x))
    #else
      Darwin.exp(Double(x))
    #endif
  }
}
