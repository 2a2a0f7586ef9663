"""Whether a LoRA file for llama.cpp says what a PEFT directory says, read by the `gguf` package.

    peft export --model BASE --adapter ADAPTER --out PLAIN
    peft export --format gguf --model BASE --adapter ADAPTER --out ADAPTER.gguf
    python gguf_products.py BASE PLAIN ADAPTER.gguf

Every tensor must be one that the package's own table of names gives for a module of PLAIN, and alpha/rank·B·A, the rows of Llama's
queries and keys put back, must be PEFT's scale·B·A. Needs numpy and gguf.
"""

import json
import math
import os
import sys

import gguf
import numpy as np

base, plain, path = sys.argv[1:4]


def tensors(path):
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header, data = json.loads(file.read(size)), file.read()
    return {
        name: np.frombuffer(data[slice(*entry["data_offsets"])], np.float32).reshape(entry["shape"])
        for name, entry in header.items() if name != "__metadata__"
    }


with open(os.path.join(base, "config.json")) as file:
    model = json.load(file)
with open(os.path.join(plain, "adapter_config.json")) as file:
    config = json.load(file)
reader = gguf.GGUFReader(path)
field = lambda key: reader.fields[key].contents()
arch = next(arch for arch, name in gguf.MODEL_ARCH_NAMES.items() if name == field("general.architecture"))
assert field("general.type") == "adapter" and field("adapter.type") == "lora"
names = gguf.get_tensor_name_map(arch, 1000)
theirs = {tensor.name: tensor.data for tensor in reader.tensors}
worst = 0.0
for key, down in tensors(os.path.join(plain, "adapter_model.safetensors")).items():
    if not key.endswith((".lora_A.weight", ".lora_embedding_A")):
        continue
    module = key.removeprefix("base_model.model.").replace(".lora_A.weight", "").replace(".lora_embedding_A", "")
    up = tensors(os.path.join(plain, "adapter_model.safetensors"))[key.replace("_A", "_B")]
    rank = config["rank_pattern"].get(module, config["r"])
    alpha = config["alpha_pattern"].get(module, config["lora_alpha"])
    expected = alpha / (math.sqrt(rank) if config["use_rslora"] else rank) * up.astype(np.float64) @ down
    name = names.get_name(module) + ".weight"
    a, b = theirs.pop(name + ".lora_a").astype(np.float64), theirs.pop(name + ".lora_b").astype(np.float64)
    if name.startswith("token_embd"):
        a = a.T
    if field("general.architecture") == "llama" and name.endswith(("attn_q.weight", "attn_k.weight")):
        heads = model["num_attention_heads"]
        if name.endswith("attn_k.weight"):
            heads = model.get("num_key_value_heads") or heads
        b = b.reshape(heads, -1, 2, b.shape[1]).swapaxes(1, 2).reshape(b.shape)
    product = field("adapter.lora.alpha") / b.shape[1] * b @ a
    assert product.shape == expected.shape, (name, product.shape, expected.shape)
    worst = max(worst, np.abs(product - expected).max() / max(np.abs(expected).max(), 1e-30))
assert not theirs, f"tensors of no module: {sorted(theirs)}"
print(f"{len(reader.tensors)} tensors; products off by {worst:.3g} of the largest entry")
sys.exit(not worst < 1e-6)
