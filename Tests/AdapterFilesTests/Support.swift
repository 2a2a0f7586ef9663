import AdapterFiles
import Blocks
import Catalog
import Engine
import Files
import JSON
import Models
import PEFTKernel
import Registry
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A folder of its own for one test, removed with the object.
final class Scratch {
  let path: String

  init() throws {
    var template = Array("/tmp/adapter-tests-XXXXXX".utf8CString)
    path = String(cString: try #require(mkdtemp(&template)))
  }

  deinit { try? Folder.remove(path) }

  subscript(_ name: String) -> String { path + "/" + name }

  /// A tiny model of a family with drawn weights, in a directory of its own.
  func model(_ family: String, seed: UInt64 = 1, dtype: StoredType? = nil) throws -> any LanguageModel {
    let folder = self["\(family)-\(seed)-\(dtype?.rawValue ?? "own")"]
    if !Folder.exists(folder) {
      let fresh = try ModelLoader.fresh(config: fixture("models/\(family)"), seed: seed)
      try ModelWriter.write(fresh, replacing: [:], dtype: dtype, to: folder)
    }
    return try ModelLoader.load(folder)
  }

  /// A PEFT adapter of the fixtures, with its config and its tensors edited.
  func adapter(
    _ name: String, config edits: [String: JSON] = [:], _ edit: (inout [StoredTensor]) -> Void = { _ in }
  ) throws -> String {
    let source = fixture(name)
    var members = try #require(TextFile.readJSON(source + "/adapter_config.json").members)
    for (key, value) in edits {
      members.removeAll { $0.key == key }
      members.append(.init(key, value))
    }
    let file = try SafetensorsFile(source + "/adapter_model.safetensors")
    var tensors = try file.tensors.map { StoredTensor(name: $0.name, shape: $0.shape, floats: try file.floats(of: $0.name)) }
    edit(&tensors)
    let folder = self["edited"]
    try Folder.create(folder)
    try WholeFile.write(JSON.object(members).text(), to: folder + "/adapter_config.json")
    try SafetensorsWriter.write(
      tensors.map { .init(name: $0.name, shape: $0.shape, floats: $0.floats, as: $0.dtype) },
      to: folder + "/adapter_model.safetensors")
    return folder
  }
}

/// Every family there is a config of.
let families = ["llama", "gpt2", "mistral", "qwen2", "qwen3", "gemma2"]

struct StoredTensor {
  var name: String
  var shape: [Int]
  var floats: [Float]
  var dtype = StoredType.f32
}

func fixture(_ name: String) -> String {
  let folder = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
  return "\(folder)/Fixtures/\(name)"
}

/// What a body that must fail says, with the folder's path taken out.
func message(_ scratch: Scratch, _ body: () throws -> Void) -> String {
  do { try body() } catch {
    return "\(error)".replacing(scratch.path + "/", with: "")
  }
  return "nothing was thrown"
}

/// The logits of one fixed sequence.
func logits(_ model: any LanguageModel, _ adapter: Adapter? = nil) -> [Float] {
  let ids: [Int32] = [5, 17, 3, 200, 41, 7, 500, 90, 12, 33]
  let pass = Pass(now: Moment(), rows: RowLayout(lengths: [ids.count]), sites: adapter?.sites ?? [])
  let run = ModelRun(pass: pass, attachment: adapter?.attached())
  return model.logits(model.hidden(ids, run), run).floats
}

func largestDifference(_ a: [Float], _ b: [Float]) -> Float {
  #expect(a.count == b.count)
  return zip(a, b).map { abs($0 - $1) }.max() ?? 0
}

/// A method laid out over some sites of a model, every stored number drawn, so that nothing is zero by chance.
func drawn(
  _ entry: MethodEntry, _ registry: MethodRegistry, on sites: [Site], seed: UInt64 = 3, offset: Bool = false
) throws -> Adapter {
  let assembly = try registry.assemble(entry)
  let layout = try assembly.projection.layout(of: sites)
  func values(_ seed: UInt64) -> Tensors {
    var tensors = Tensors()
    for spec in layout {
      var random = Philox(key: seed).stream(spec.key.description)
      tensors[spec.key] =
        spec.role == .index ? spec.fill.tensor(spec.shape, &random) : random.normal(spec.shape, deviation: 0.1)
    }
    return tensors
  }
  return try Adapter(
    assembly, sites: sites, layout: layout, tensors: values(seed), offset: offset ? values(seed + 1) : nil,
    on: Bases(weights: [:]))
}

/// A LoRA of any shape, without a registry.
func lowRank(_ projection: LowRank, on sites: [Site], offset: Bool = false) throws -> Adapter {
  let assembly = Assembly(projection: projection, initialization: FillStart(), trainable: TrainableSubset(roles: ["factor-a"]))
  let layout = try projection.layout(of: sites)
  func values(_ seed: UInt64) -> Tensors {
    var tensors = Tensors()
    for spec in layout {
      var random = Philox(key: seed).stream(spec.key.description)
      tensors[spec.key] = random.normal(spec.shape, deviation: 0.1)
    }
    return tensors
  }
  return try Adapter(
    assembly, sites: sites, layout: layout, tensors: values(7), offset: offset ? values(8) : nil, on: Bases(weights: [:]))
}

extension LanguageModel {
  func sites(_ names: String...) -> [Site] { sites.filter { site in names.contains { site.id.path.hasSuffix($0) } } }
}
