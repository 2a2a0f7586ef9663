import PEFTKernel
import Registry
import Testing

/// The matching rules of Hugging Face PEFT (adapter format, section 6), and kinds.
@Suite struct TargetSelectorTests {
  func paths(_ selector: TargetSelector) throws -> [String] { try selector.select(from: Fakes.sites).map(\.id.path) }

  func refusal(_ selector: TargetSelector) -> String? {
    #expect(throws: Refusal.self) { try selector.select(from: Fakes.sites) }?.reason
  }

  @Test func namesMatchWholeComponentsAtTheEnd() throws {
    let queries = (0..<2).map { "model.layers.\($0).self_attn.q_proj" }
    #expect(try paths(TargetSelector(.names(["q_proj"]))) == queries)
    #expect(try paths(TargetSelector(.names(["self_attn.q_proj"]))) == queries)
    #expect(try paths(TargetSelector(.names(["1.self_attn.q_proj"]))) == [queries[1]])
    #expect(try paths(TargetSelector(.names([queries[0]]))) == [queries[0]])
    #expect(refusal(TargetSelector(.names(["_proj"])))?.hasPrefix("target_modules: `_proj` matches no site") == true)
  }

  @Test func patternsMatchWholePaths() throws {
    #expect(try paths(TargetSelector(.pattern(".*\\.(q_proj|v_proj)"))).count == 4)
    #expect(
      refusal(TargetSelector(.pattern("q_proj|v_proj")))
        == "target_modules: the regular expression `q_proj|v_proj` matches no site of the model; it must match the whole path, such as `model.layers.0.self_attn.q_proj`"
    )
    #expect(
      refusal(TargetSelector(.pattern("q_proj")))
        == "target_modules: the regular expression `q_proj` matches no site of the model; a list has names that paths end with: write [q_proj]"
    )
    #expect(refusal(TargetSelector(.pattern("(q"))) == "target_modules: `(q` is no regular expression")
  }

  @Test func allLinearIsAllButTheHead() throws {
    #expect(try paths(TargetSelector(.allLinear)).count == 14)
    #expect(TargetSelector(string: "All-Linear").targets == .allLinear)
    #expect(try paths(TargetSelector(.names(["all-linear", "lm_head"]))).count == 15)
    let table = Site(id: SiteID("wte"), kind: .embedding, outputs: 4, inputs: 8)
    #expect(try TargetSelector(.allLinear).select(from: Fakes.sites + [table]).count == 14)
  }

  @Test func kindsStandForNames() throws {
    #expect(try paths(TargetSelector(.names(["attention"]))).count == 8)
    #expect(try paths(TargetSelector(.names(["mlp"]))).count == 6)
    #expect(try paths(TargetSelector(.names(["attention.query", "head"]))).count == 3)
    #expect(try paths(TargetSelector(string: "mlp.down")).count == 2)
  }

  @Test func sitesMatchByAnyOfTheirPaths() throws {
    let sites = (0..<2).map { (index: Int) in
      Site(
        id: SiteID("vit.encoder.layer.\(index).attention.attention.query"), use: "attention.query", outputs: 4, inputs: 4,
        layer: index, modulePath: SiteID("vit.layers.\(index).attention.q_proj"),
        aliases: [SiteID("layers.\(index).attention.q_proj")])
    }
    func chosen(_ selector: TargetSelector) throws -> [Int] { try selector.select(from: sites).compactMap(\.layer) }
    for name in ["query", "q_proj", "attention.q_proj", "attention.attention.query", "attention.query"] {
      #expect(try chosen(TargetSelector(.names([name]))) == [0, 1])
      #expect(try chosen(TargetSelector(.names([name]), layers: [1])) == [1])
      #expect(try chosen(TargetSelector(.allLinear, exclude: .names(["vit.layers.0.attention.q_proj"]))) == [1])
    }
    #expect(try chosen(TargetSelector(.names(["layers.1.attention.q_proj"]), layers: [0])) == [1])
    #expect(try chosen(TargetSelector(.pattern("layers\\.0\\..*"))) == [0])
    #expect(try chosen(TargetSelector(.pattern("vit\\.encoder.*query"))) == [0, 1])
    #expect(throws: Refusal.self) { try TargetSelector(.names(["_proj"])).select(from: sites) }
  }

  @Test func exclusionWins() throws {
    let exclude = TargetSelector.Targets.names(["model.layers.0.self_attn.q_proj"])
    #expect(try paths(TargetSelector(.names(["q_proj"]), exclude: exclude)) == ["model.layers.1.self_attn.q_proj"])
    #expect(try paths(TargetSelector(.allLinear, exclude: .pattern(".*\\.mlp\\..*"))).count == 8)
    #expect(
      refusal(TargetSelector(.names(["q_proj"]), exclude: .names(["q_proj"])))
        == "target_modules: no site is left of those chosen once exclusions and layers are applied")
    #expect(refusal(TargetSelector(.allLinear, exclude: .names(["c_attn"])))?.hasPrefix("exclude_modules: `c_attn`") == true)
  }

  @Test func layersHoldNamesButNotWholePaths() throws {
    #expect(try paths(TargetSelector(.names(["q_proj", "v_proj"]), layers: [1])).count == 2)
    #expect(
      try paths(TargetSelector(.names(["q_proj", "model.layers.0.self_attn.q_proj"]), layers: [1]))
        == ["model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"])
    #expect(
      try paths(TargetSelector(.names(["q_proj", "lm_head"]), layers: [0])) == ["model.layers.0.self_attn.q_proj", "lm_head"])
    #expect(
      refusal(TargetSelector(.names(["q_proj"]), layers: [2]))
        == "layers_to_transform: there is no layer 2; the model's layers are 0 to 1")
  }

  @Test func anEntryNeedsOneOfItsKinds() throws {
    let kinds = TargetSelector(.names(["attention.qkv", "attention.query"]), demand: .any)
    #expect(try paths(kinds).count == 2)
    #expect(refusal(TargetSelector(.names(["attention.qkv", "c_attn"]), demand: .any))?.contains("attention.qkv") == true)
  }
}
