import Blocks
import Catalog
import Engine
import Files
import JSON
import LoRA
import PEFTKernel
import Testing

@testable import LoRAGA

@Test func tempGoldens() throws {
  let folder = "/work/shared/goldens/"
  for (plugin, names) in [(LoRAMethod.plugin, (0..<6).map { "lora.\($0)" }), (LoRAGAMethod.plugin, (0..<4).map { "lora-ga.\($0)" })] {
    for name in names {
      let file = try SafetensorsFile(path: folder + name + ".safetensors")
      print(name)
      let g = try golden(file)
      let reader = plugin.goldens[0]
      #expect(reader.reads(g))
      let c: GoldenCase
      do { c = try reader.read(g) } catch { print(error); continue }
      var p: [String: OptionValue] = [:], i: [String: OptionValue] = [:]
      var initName = OptionValue.string(name.hasPrefix("lora-ga") ? "gradient-vectors" : "kaiming")
      let registry = try AxisRegistry([plugin])
      for (k, v) in c.options {
        if k == "init" { initName = v; continue }
        func put(_ specs: [OptionSpec], _ into: inout [String: OptionValue]) -> Bool {
          for s in specs {
            if s.name == k { into[k] = v; return true }
            if let a = s.aliases.first(where: { $0.name == k }) { into[s.name] = a.values[v] ?? v; return true }
          }
          return false
        }
        let ok = put(LowRank.options, &p) || put(registry.initialization(called: initName)!.options, &i)
        #expect(ok, "\(k)")
      }
      let proj = try LowRank.definition.make(Options(p, checkedBy: LowRank.options))
      let d = try #require(registry.initialization(called: initName))
      let strategy = try d.make(Options(i, checkedBy: d.options))
      let layout = try proj.layout(of: c.sites)
      try strategy.check(layout, c.sites, proj)
      let w = c.weights
      let st = try strategy.start(layout, c.sites, proj, Evidence(weight: { w[$0]! }, gradients: c.evidence), Moment())
      let made = GoldenStart(
        parameterization: Assembly(projection: proj, initialization: strategy, trainable: .init(roles: [])), layout: layout,
        start: st, weights: w, sites: c.sites)
      for key in g.tensors.keys.sorted() where key.hasPrefix("initial.") {
        let f = try #require(c.initial[String(key.dropFirst(8))])
        let got = try f(made), want = g.tensors[key]!
        #expect(got.shape == want.shape, "\(key)")
        let e = (got.converted(to: .float64) - want).largestMagnitude / max(want.largestMagnitude, 1e-30)
        print("  ", key, want.largestMagnitude == 0 ? got.largestMagnitude : e)
        #expect(want.largestMagnitude == 0 ? got.largestMagnitude < 1e-6 : e < 1e-5)
      }
      let adapter = try Adapter(made.parameterization, sites: c.sites, layout: layout, tensors: c.point, offset: c.offset)
      let x = g.tensors["x"]!.tracked()
      let tr = Tensors(c.point.values.mapValues { $0.tracked() })
      let pass = Pass(now: Moment(), rows: RowLayout(lengths: [5]), sites: c.sites)
      let y = Attachment(adapter, stored: tr, Moment()).output(at: c.sites[0].id, x, TensorMap(matrix: w[c.sites[0].id]!), pass)!
      Tensor.backward([(y, g.tensors["dy"]!)])
      func cmp(_ n: String, _ t: Tensor) { 
        let e = (t - g.tensors[n]!).largestMagnitude / g.tensors[n]!.largestMagnitude
        print("  ", n, e); #expect(e < 1e-5) }
      cmp("y", y.detached); cmp("dx", x.gradient!)
      for (n, k) in c.gradients { cmp(n, tr[k].gradient!) }
      let W = w[c.sites[0].id]!
      cmp("merged", W + (try adapter.change(at: c.sites[0]).dense(like: W)))
    }
  }
}

func golden(_ f: SafetensorsFile) throws -> GoldenFile { fatalError() }
