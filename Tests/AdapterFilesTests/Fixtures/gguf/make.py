"""LoRA files as llama.cpp's converter writes them, by the `gguf` package (0.19.0): python make.py

The adapters are PEFT's of `../peft`, so its logits with them are what is to come out. Needs numpy and gguf only.
"""

import json
import os

import gguf
import numpy as np

here = os.path.dirname(os.path.abspath(__file__))


def tensors(path):
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header, data = json.loads(file.read(size)), file.read()
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            yield name, np.frombuffer(data[begin:end], np.float32).reshape(entry["shape"])


def permuted(rows, heads):
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(rows.shape)


def convert(case, name, kind=None):
    family = case.split("-")[0]
    folder = os.path.join(here, "..", "peft", case)
    with open(os.path.join(folder, "adapter_config.json")) as file:
        alpha = json.load(file)["lora_alpha"]
    with open(os.path.join(folder, "..", "bases", family, "config.json")) as file:
        config = json.load(file)
    arch = {"llama": gguf.MODEL_ARCH.LLAMA, "gpt2": gguf.MODEL_ARCH.GPT2}[family]
    names = gguf.get_tensor_name_map(arch, 8)
    writer = gguf.GGUFWriter(os.path.join(here, name), gguf.MODEL_ARCH_NAMES[arch])
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
    for key, value in sorted(tensors(os.path.join(folder, "adapter_model.safetensors"))):
        if key.endswith(".base_layer.weight"):
            continue
        key = key.removeprefix("base_model.model.").removesuffix(".weight")
        path, half = key.rsplit(".", 1)
        is_embedding = "embedding" in half
        half = half.replace("_embedding", "")
        if half == "lora_B" and family == "llama" and path.endswith("q_proj"):
            value = permuted(value, config["num_attention_heads"])
        if half == "lora_B" and family == "llama" and path.endswith("k_proj"):
            value = permuted(value, config["num_key_value_heads"])
        if half == "lora_A" and is_embedding:
            value = value.T
        value = np.ascontiguousarray(value)
        tensor = names.get_name(path) + ".weight" + half.lower().replace("lora_", ".lora_")
        if kind is not None:
            writer.add_tensor(tensor, gguf.quants.quantize(value, kind), raw_dtype=kind)
        else:
            writer.add_tensor(tensor, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


convert("llama-exclude", "llama.gguf")
convert("llama-exclude", "llama-f16.gguf", gguf.GGMLQuantizationType.F16)
convert("gpt2-all", "gpt2.gguf")
convert("llama-embedding", "llama-embedding.gguf")
