import Files
import JSON

extension Scratch {
  /// Makes `text`, the tiny Llama with a tokenizer that turns every byte into the token byte + 3; and `data.jsonl`.
  func makeTextModel(vocabulary extra: Int = 0) throws {
    for name in ["config.json", "model.safetensors"] {
      try link("text/\(name)", to: Fixtures.run("llama-tiny/model/\(name)"))
    }
    try put("text/tokenizer.json", Self.byteTokenizer(extra).text())
    let rows = (0..<12).map { "{\"prompt\": \"What is \($0) + 1?\", \"completion\": \"It is \($0 + 1).\"}\n" }
    try put("data.jsonl", rows.joined())
  }

  private static func byteTokenizer(_ extra: Int) -> JSON {
    // The byte-level alphabet: printable bytes stand for themselves, the others for the scalars from 256 on.
    var next: UInt32 = 256
    let specials = ["<unk>", "<s>", "</s>"]
    // As trained tokenizers have them: in the vocabulary, too.
    var vocabulary: [JSON.Member] = specials.enumerated().map { JSON.Member($1, .int($0)) }
    for byte in 0..<UInt32(256) {
      var scalar = byte
      if !(33...126).contains(byte), !(161...172).contains(byte), !(174...255).contains(byte) {
        scalar = next
        next += 1
      }
      vocabulary.append(JSON.Member(String(Unicode.Scalar(scalar).map(Character.init) ?? "?"), .int(Int(byte) + 3)))
    }
    for index in 0..<extra { vocabulary.append(JSON.Member("extra\(index)", .int(259 + index))) }
    let special = specials.enumerated().map { id, text -> JSON in
      [
        "id": .int(id), "content": .string(text), "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true,
      ]
    }
    let byteLevel: JSON = ["type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true]
    return [
      "version": "1.0", "added_tokens": .array(special), "normalizer": .null, "pre_tokenizer": byteLevel,
      "post_processor": .null, "decoder": byteLevel,
      "model": ["type": "BPE", "vocab": .object(vocabulary), "merges": .array([])],
    ]
  }
}
