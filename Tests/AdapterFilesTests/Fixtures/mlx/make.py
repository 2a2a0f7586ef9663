"""Adapters in the layout of mlx-lm, and its logits with them: python make.py (mlx-lm 0.32.2, mlx 0.32.4 for the CPU).

The bases are those of `../peft`. Every number of an adapter is drawn, so that nothing is zero by chance.
"""

import json
import os
import shutil
import tempfile

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers, load_adapters
from mlx_lm.utils import load_model
from pathlib import Path

mx.set_default_device(mx.cpu)
here = os.path.dirname(os.path.abspath(__file__))
ids = [[5, 17, 3, 20, 41, 7, 11, 9, 12, 33], [2, 1, 47, 30, 8, 8, 19, 40, 6, 4]]

cases = {
    "llama-lora": ("llama", dict(num_layers=2, lora_parameters=dict(
        rank=3, scale=2.5, dropout=0.0, keys=["self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj"]))),
    "llama-every": ("llama", dict(num_layers=1, lora_parameters=dict(rank=2, scale=20.0, dropout=0.1))),
    "llama-dora": ("llama", dict(fine_tune_type="dora", num_layers=-1, lora_parameters=dict(
        rank=2, scale=1.5, dropout=0.0, keys=["self_attn.q_proj", "mlp.up_proj"]))),
    "llama-head": ("llama", dict(num_layers=1, lora_parameters=dict(
        rank=2, scale=1.0, dropout=0.0, keys=["lm_head", "self_attn.o_proj", "model.layers.0.mlp.up_proj"]))),
    "gpt2-lora": ("gpt2", dict(num_layers=2, lora_parameters=dict(rank=2, scale=3.0, dropout=0.0, keys=["attn.c_attn", "mlp.c_proj"]))),
    "llama-embedding": ("llama", dict(num_layers=1, lora_parameters=dict(
        rank=2, scale=1.5, dropout=0.0, keys=["model.embed_tokens", "self_attn.q_proj"]))),
}


def base(name):
    folder = Path(here) / ".." / "peft" / "bases" / name
    if name == "gpt2":
        # mlx-lm knows GPT-2 as its first files were: without a prefix, and with n_ctx.
        with tempfile.TemporaryDirectory() as bare:
            weights = mx.load(str(folder / "model.safetensors"))
            bare_weights = {key.removeprefix("transformer."): value for key, value in weights.items()}
            mx.save_safetensors(os.path.join(bare, "model.safetensors"), bare_weights)
            config = json.loads((folder / "config.json").read_text()) | {"n_ctx": 64}
            Path(bare, "config.json").write_text(json.dumps(config))
            model, _ = load_model(Path(bare))
            mx.eval(model.parameters())
    else:
        model, _ = load_model(folder)
    model.eval()
    return model


expected = {"ids": mx.array(ids, dtype=mx.int32)}
for number, (name, (family, config)) in enumerate(cases.items()):
    folder = os.path.join(here, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    model = base(family)
    model.freeze()
    linear_to_lora_layers(model, config["num_layers"], config["lora_parameters"], use_dora=config.get("fine_tune_type") == "dora")
    random = np.random.default_rng(number)
    weights = {}
    for key, value in tree_flatten(model.trainable_parameters()):
        draw = mx.array(random.standard_normal(value.shape).astype(np.float32))
        weights[key] = value * (1 + 0.1 * draw) if key.endswith(".m") else 0.2 * draw
    mx.save_safetensors(os.path.join(folder, "adapters.safetensors"), weights)
    with open(os.path.join(folder, "adapter_config.json"), "w") as file:
        json.dump({"fine_tune_type": "lora", "model": "../../peft/bases/" + family, "seed": 0, "iters": 1000} | config, file, indent=4)
    model = load_adapters(base(family), folder)
    model.eval()
    expected[name] = model(mx.array(ids)).astype(mx.float32)
    print(name, expected[name].shape, float(mx.abs(expected[name] - base(family)(mx.array(ids))).max()), sorted(weights)[:3])
mx.save_safetensors(os.path.join(here, "logits.safetensors"), expected)
