import Engine
import Files
import Models
import PEFTKernel
import Testing

/// Encoders against what transformers computed, every row.
@Suite struct EncoderReferenceTests {
  private static let names = [
    "last_hidden_state", "pooler_output", "logits", "text_embeds", "image_embeds", "logits_per_image", "text_hidden_state",
    "image_hidden_state",
  ]

  @Test(arguments: EncoderCase.all) func outputsAreThoseOfTheReference(_ test: EncoderCase) throws {
    let (model, input) = (try test.model(), try EncoderInput(test))
    var compared = 0
    for scalar in [ScalarType.float32, .float64] {
      let outputs = input.outputs(model, scalar)
      for name in Self.names where input.file.entry(name) != nil {
        let output = try #require(outputs[name], "\(name)")
        #expect(output.scalar == scalar)
        let difference = largestDifference(output.floats, try input.file.floats(of: name))
        if scalar == .float32 { report(difference, of: "\(test.name) \(name)") }
        #expect(difference < 2e-5, "\(name)")
        compared += 1
      }
    }
    #expect(compared > 0)
    #expect(model.freshParameters.isEmpty)
  }

  /// A file of our own making has outputs that only these tests see: what there is, is compared.
  @Test func everyOutputOfAFileIsKnown() throws {
    let inputs = ["input_ids", "attention_mask", "token_type_ids", "pixel_values", "labels", "loss"]
    for test in EncoderCase.all {
      let unknown = try test.reference.tensors.map(\.name).filter { !Self.names.contains($0) && !inputs.contains($0) }
      #expect(unknown.isEmpty, "\(test)")
    }
  }

  @Test func lossesAreThoseOfTheReference() throws {
    for (name, scalar) in [
      ("bert-of-many-labels", ScalarType.float32), ("roberta-regression", .float64), ("vit-narrow-heads", .float32),
    ] {
      let test = EncoderCase(name: "encoders/" + name)
      let (model, input) = (try test.model(), try EncoderInput(test))
      let labels = try #require((model as? any Classifier)?.labels)
      let given = try input.file.floats(of: "labels")
      let targets: ClassTargets =
        switch labels.problem {
        case .singleLabel: .labels(given.map { Int32($0) })
        case .multiLabel: .flags(given.map { $0 != 0 })
        case .regression: .numbers(given.map { Double($0) })
        }
      let logits = try #require(input.outputs(model, scalar)["logits"])
      let loss = logits.classificationLoss(targets, scale: 1 / Double(targets.count))
      #expect(abs(loss.item - (try input.file.doubles(of: "loss")[0])) < 2e-5, "\(name)")
    }
  }

  /// Texts of other lengths beside one another, without padding.
  @Test(arguments: ["bert", "roberta", "clip"]) func packedSequencesAreSeparateOnes(_ family: String) throws {
    let test = EncoderCase(name: family)
    let (model, input) = (try #require(try test.model() as? any TextEncoder), try EncoderInput(test))
    let lengths = [5, 1, 7]
    let ids = Array(input.ids.prefix(13))
    let packed = model.encode(ids, input.run(RowLayout(lengths: lengths)))
    var start = 0
    for (index, length) in lengths.enumerated() {
      let alone = model.encode(Array(ids[start..<start + length]), input.run(RowLayout(lengths: [length])))
      #expect(largestDifference(packed.hidden.slice(rows: start..<start + length).floats, alone.hidden.floats) < 1e-5)
      if let pooled = packed.pooled, let other = alone.pooled {
        #expect(largestDifference(pooled.slice(rows: index..<index + 1).floats, other.floats) < 1e-5)
      }
      start += length
    }
  }

  @Test(arguments: EncoderCase.all) func parametersAreTheFileTensors(_ test: EncoderCase) throws {
    let (model, file) = (try test.model(), try test.weights)
    let stored = file.tensors.filter { !model.leftOut.contains($0.name) && !$0.name.hasSuffix("position_ids") }
    #expect(model.parameters.count == stored.count)
    let spelled = Dictionary(
      uniqueKeysWithValues: stored.map { tensor in
        (
          tensor.name.replacing("LayerNorm.gamma", with: "LayerNorm.weight").replacing("LayerNorm.beta", with: "LayerNorm.bias"),
          tensor
        )
      })
    for parameter in model.parameters {
      let bare = parameter.name.split(separator: ".").dropFirst().joined(separator: ".")
      let entry = try #require(spelled[parameter.name] ?? spelled[bare], "\(parameter.name)")
      let values = model.parameter(parameter.name)
      #expect(values.shape == entry.shape && values.shape == parameter.shape)
      #expect(try values.floats == file.floats(of: entry.name))
    }
    #expect(model.leftOut.isEmpty == !["encoders/bert-from-tensorflow", "encoders/roberta-masked"].contains(test.name))
  }

  @Test func layersComputedTwiceAreTheSame() throws {
    for name in ["bert", "vit"] {
      let test = EncoderCase(name: name)
      let (model, input) = (try test.model(), try EncoderInput(test))
      let leaf = model.parameter(model.sites[0].id.path + ".weight")
      func gradient(_ activations: Activations) throws -> [Float] {
        let tracked = leaf.tracked()
        let logits = try #require(
          input.outputs(model) {
            $0.trained = [model.sites[0].id.path + ".weight": tracked]
            $0.activations = activations
          }["logits"])
        logits.classificationLoss(.labels([1, 3]), scale: 1).backward()
        return try #require(tracked.gradient).floats
      }
      #expect(try gradient(.kept) == gradient(.recomputed))
    }
  }

  @Test func sentencesAreMeansOfWhatIsNoPadding() throws {
    let test = EncoderCase(name: "bert")
    let (model, input) = (try #require(try test.model() as? any TextEncoder), try EncoderInput(test))
    let encoding = model.encode(input.ids, types: input.types, input.run(input.rows))
    let means = encoding.mean(over: input.rows)
    #expect(means.shape == [2, 48])
    let hidden = try input.file.floats(of: "last_hidden_state")
    for (sequence, length) in [(0, 11), (1, 8)] {
      let sums = (0..<48).map { column in
        (0..<length).reduce(0.0) { $0 + Double(hidden[(sequence * 11 + $1) * 48 + column]) }
      }
      let mean = sums.map { $0 / Double(length) }
      let size = mean.reduce(0) { $0 + $1 * $1 }.squareRoot()
      let row = means.slice(rows: sequence..<sequence + 1)
      #expect(largestDifference(row.floats, mean.map { Float($0) }) < 2e-5)
      #expect(largestDifference(row.unitRows().floats, mean.map { Float($0 / size) }) < 2e-5)
    }
    let nothing = Encoding(hidden: encoding.hidden).mean(
      over: RowLayout(sequences: 2, length: 11, visible: [UInt8](repeating: 0, count: 22)))
    #expect(nothing.unitRows().floats.allSatisfy { $0 == 0 })
  }
}
