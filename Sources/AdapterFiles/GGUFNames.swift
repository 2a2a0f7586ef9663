import Models
import PEFTKernel

/// How llama.cpp calls a model's weights, and in which order it has the rows of some.
struct GGUFNames {
  /// `general.architecture`.
  let architecture: String
  /// The rows of a query or key map by head, where they are in another order than here.
  private let heads: Int?
  private let groups: Int?

  private static let architectures = [
    "llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma2": "gemma2", "gpt2": "gpt2",
  ]

  private static let names = [
    "attention.query": "attn_q", "attention.key": "attn_k", "attention.value": "attn_v", "attention.qkv": "attn_qkv",
    "attention.output": "attn_output", "mlp.gate": "ffn_gate", "mlp.up": "ffn_up", "mlp.down": "ffn_down",
  ]

  /// Refuses families whose names in llama.cpp are not known here.
  init(_ model: any Model) throws(Refusal) {
    guard model is any LanguageModel, let architecture = Self.architectures[model.modelType] else {
      throw Refusal(
        "GGUF adapters are not known for \(model.modelType) models",
        remedy: "known: " + Self.architectures.keys.sorted().joined(separator: ", "))
    }
    self.architecture = architecture
    // Llama's converter puts the two halves of a head, which rotary positions pair, beside each other.
    guard architecture == "llama" else {
      (heads, groups) = (nil, nil)
      return
    }
    let count = model.directory.config["num_attention_heads"]?.int ?? 32
    heads = count
    groups = model.directory.config["num_key_value_heads"]?.int ?? count
  }

  /// `blk.3.attn_q.weight`. Refuses sites that llama.cpp has no weight for.
  func weight(of site: Site, in model: any Model) throws(Refusal) -> String {
    if let layer = site.layer, let name = Self.names[site.use] { return "blk.\(layer).\(name).weight" }
    if site.use == "embedding.token", model.sharedHead == nil { return "token_embd.weight" }
    guard site.use == "head", site.layer == nil else {
      throw Refusal("llama.cpp has no name for \(site.id)", remedy: "leave it out of the adapter, or merge the adapter")
    }
    guard model.sharedHead == nil else {
      throw Refusal(
        "\(site.id) is the embedding table, and llama.cpp has no weight of its own for it", remedy: "merge the adapter")
    }
    return "output.weight"
  }

  /// Where each row of a site's outputs goes to, nil where all stay.
  func order(of site: Site) -> [Int]? {
    guard let count = site.use == "attention.query" ? heads : site.use == "attention.key" ? groups : nil, count > 0,
      site.outputs % (2 * count) == 0
    else { return nil }
    let half = site.outputs / count / 2
    return (0..<site.outputs).map { row in
      let (head, place) = row.quotientAndRemainder(dividingBy: 2 * half)
      return head * 2 * half + place % half * 2 + place / half
    }
  }
}
