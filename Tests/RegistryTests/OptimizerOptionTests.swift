import Catalog
import PEFTKernel
import Registry
import Testing

/// What a run file says under `optimizer` reaches the optimizer it names, whichever that is.
@Suite struct OptimizerOptionTests {
  func run(_ optimizer: String) throws -> RunFile {
    let scratch = try Scratch()
    let text = """
      base_model: model
      method: lora
      data: { tokens: tokens.bin }
      steps: 2
      output_dir: out
      optimizer: \(optimizer)
      """
    return try RunFile.load(scratch.put("run.yaml", text), registry: Catalog.registry())
  }

  func errors(_ optimizer: String) -> [String] {
    let error = #expect(throws: ConfigurationErrors.self) { try run(optimizer) }
    return (error?.issues ?? []).map { String($0.description.split(separator: "run.yaml:").last ?? "") }
  }

  @Test func ownOptionsPassThrough() throws {
    let settings = try run(
      "{ name: adaprelora, lr: 1e-3, schedule: cosine, statistics: surrogate, beta1: 0, damping: 1e-2, weight_decay: 0.1 }"
    ).optimizer
    #expect(settings.name == "adaprelora" && settings.lr == 1e-3 && settings.schedule == .cosine)
    #expect(
      settings.options == [
        "statistics": .string("surrogate"), "beta1": .double(0), "beta2": .double(0.999), "beta2_schedule": .string("constant"),
        "eps": .double(1e-30), "damping": .double(1e-2), "weight_decay": .double(0.1),
      ])
    #expect(try run("{ name: lora-plus, lr: 1e-4, lr_ratio: 8 }").optimizer.options["lr_ratio"] == .double(8))
    #expect(try run("{ name: lora-rite, lr: 1e-4, clip: 0 }").optimizer.options["clip"] == .double(0))
  }

  @Test func wrongOnesAreNamed() {
    #expect(
      errors("{ name: adaprelora, lr: 1e-3, dampng: 1 }") == [
        "6:42: unknown key `dampng` in `optimizer`; did you mean `damping`?"
      ])
    #expect(
      errors("{ name: adaprelora, lr: 1e-3, statistics: gradients }") == [
        "6:54: `optimizer.statistics` is the string 'gradients', but must be one of gradient, surrogate; did you mean `gradient`?"
      ])
    #expect(
      errors("{ name: lora-plus, lr: 1e-3, lr_ratio: 0.5 }") == [
        "6:51: `optimizer.lr_ratio` is the number 0.5, but must be a number of at least 1.0"
      ])
    #expect(errors("{ name: scaled-gd, lr: 1e-3, damping: 1 }").first?.contains("unknown key `damping` in `optimizer`") == true)
    #expect(errors("{ name: lora_plus, lr: 1e-3 }") == ["6:20: unknown optimizer `lora_plus`; did you mean `lora-plus`?"])
  }
}
