import Engine
import Files
import Models
import PEFTKernel
import Synchronization
import Testing

@Suite struct GradientTests {
  /// Every tensor in full: a few entries of each against central differences in double.
  @Test(arguments: Fixture.all) func fullGradientsAreCentralDifferences(_ fixture: Fixture) throws {
    let (model, reference) = (try fixture.model(), try Reference(fixture))
    let values = Dictionary(
      uniqueKeysWithValues: model.parameters.map { ($0.name, model.parameter($0.name).converted(to: .float64)) })
    func loss(_ trained: [String: Tensor]) -> Tensor {
      model.loss(reference.ids, labels: reference.labels, scale: 0.1, reference.run(.float64, trained: trained))
    }
    let leaves = values.mapValues { $0.tracked() }
    loss(leaves).backward()
    var random = Philox(key: 7)
    for parameter in model.parameters {
      let value = try #require(values[parameter.name])
      let gradient = try #require(leaves[parameter.name]?.gradient, "\(parameter.name) has no gradient")
      // Where the gradient is largest, and somewhere.
      let all = gradient.values
      let largest = try #require(all.indices.max { abs(all[$0]) < abs(all[$1]) })
      for i in [largest, random.integer(below: value.count)] {
        func moved(_ step: Double) -> Double {
          var entries = value.values
          entries[i] += step
          var all = values
          all[parameter.name] = Tensor(entries, shape: value.shape, .float64)
          return loss(all).item
        }
        let numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5
        #expect(abs(all[i] - numeric) < 1e-7 * max(1, abs(numeric)), "\(parameter.name)[\(i)]")
      }
    }
  }

  /// A tensor that is trained with the file's values changes nothing, one at a time: biases alone as well.
  @Test(arguments: Fixture.all) func trainedTensorsStandForTheFiles(_ fixture: Fixture) throws {
    let (model, reference) = (try fixture.model(), try Reference(fixture))
    for parameter in model.parameters {
      let leaf = model.parameter(parameter.name).tracked()
      let run = reference.run(trained: [parameter.name: leaf])
      let loss = model.loss(reference.ids, labels: reference.labels, scale: 1 / Double(reference.labelled), run)
      #expect(abs(loss.item - reference.loss) < 2e-5)
      loss.backward()
      #expect(leaf.gradient?.shape == parameter.shape, "\(parameter.name)")
    }
  }

  /// dyᵀ·x of the observed pairs is the gradient of the weight.
  @Test(arguments: Fixture.all) func observedPairsMakeTheWeightGradients(_ fixture: Fixture) throws {
    let (model, reference) = (try fixture.model(), try Reference(fixture))
    var sums: [SiteID: Tensor] = [:]
    var run = reference.run(.float64)
    run.observe = { id, x, dy in
      let product = dy.transposed.multiplied(by: x)
      sums[id] = sums[id].map { $0 + product } ?? product
    }
    model.loss(reference.ids, labels: reference.labels, scale: 1, run).backward()
    #expect(Set(sums.keys) == Set(model.sites.map(\.id)))
    // The head counts for a tied table's last use only, so it is left to the untied families.
    for site in model.sites where site.use != "head" || !fixture.isHeadTied {
      let name = site.id.path + ".weight"
      let leaf = model.parameter(name).converted(to: .float64).tracked()
      model.loss(reference.ids, labels: reference.labels, scale: 1, reference.run(.float64, trained: [name: leaf])).backward()
      let gradient = try #require(leaf.gradient)
      let expected = fixture.family == "gpt2" ? gradient.transposed : gradient
      #expect((try #require(sums[site.id]) - expected).largestMagnitude < 1e-10, "\(site.id)")
    }
  }

  @Test func dropoutIsForTrainingAndKeyed() throws {
    let (model, reference) = (try Fixture.gpt2.model(), try Reference(.gpt2))
    func hidden(_ now: Moment) -> [Float] {
      let rows = RowLayout(sequences: 2, length: 11)
      return model.hidden(reference.ids, ModelRun(pass: Pass(now: now, rows: rows, sites: []))).floats
    }
    let quiet = hidden(Moment())
    let first = hidden(Moment(mode: .training, seed: 1, step: 4))
    #expect(first == hidden(Moment(mode: .training, seed: 1, step: 4)))
    #expect(largestDifference(first, quiet) > 1e-3)
    #expect(largestDifference(first, hidden(Moment(mode: .training, seed: 1, step: 5))) > 1e-3)
  }
}
