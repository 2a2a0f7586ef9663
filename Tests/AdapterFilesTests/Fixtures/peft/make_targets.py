"""Which modules PEFT adapts for which config: python make_targets.py. Null where it refuses; see `make.py` for the bases."""

import json
import os
import warnings

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from transformers import AutoConfig, AutoModelForCausalLM

warnings.simplefilter("ignore")
here = os.path.dirname(os.path.abspath(__file__))
configs = [
    ("llama", dict(target_modules=["q_proj"])),
    ("llama", dict(target_modules=["_proj"])),
    ("llama", dict(target_modules=["self_attn.q_proj", "mlp.up_proj"])),
    ("llama", dict(target_modules=["mlp"])),
    ("llama", dict(target_modules=["norm"])),
    ("llama", dict(target_modules=["lm_head", "embed_tokens"])),
    ("llama", dict(target_modules=["attention.query"])),
    ("llama", dict(target_modules="q_proj|v_proj")),
    ("llama", dict(target_modules=r".*\.(q_proj|v_proj)")),
    ("llama", dict(target_modules=r"model\.layers\.[02]\.(self_attn|mlp)\.(q|up)_proj")),
    ("llama", dict(target_modules=r".*layers.*")),
    ("llama", dict(target_modules="ALL-linear")),
    ("llama", dict(target_modules="all-linear", exclude_modules=["o_proj", "mlp.gate_proj", "model.layers.1.self_attn.q_proj"])),
    ("llama", dict(target_modules="all-linear", exclude_modules=r".*\.1\..*")),
    ("llama", dict(target_modules=["q_proj"], exclude_modules="q_proj")),
    ("llama", dict(target_modules=["q_proj"], exclude_modules=["q_proj"])),
    ("llama", dict(target_modules=["q_proj"], exclude_modules=["_proj"])),
    ("llama", dict(target_modules=["q_proj", "v_proj"], layers_to_transform=1)),
    ("llama", dict(target_modules=["q_proj", "v_proj"], layers_to_transform=[0, 2], layers_pattern="layers")),
    ("llama", dict(target_modules=["q_proj"], layers_to_transform=[0], layers_pattern=["blocks", "layers"])),
    ("llama", dict(target_modules=["q_proj"], layers_to_transform=[0], layers_pattern="h")),
    ("llama", dict(target_modules=["q_proj"], layers_to_transform=[7])),
    ("llama", dict(target_modules=["q_proj"], layers_to_transform=[])),
    ("llama", dict(target_modules=["model.layers.0.self_attn.q_proj", "v_proj", "lm_head"], layers_to_transform=[2])),
    ("llama", dict(target_modules=["q_proj", "down_proj"], modules_to_save=["down_proj"])),
    ("llama", dict(target_modules="all-linear", modules_to_save=["layers.1", "lm_head"])),
    ("llama", dict(target_modules=["q_proj", "nothing"])),
    ("llama", dict(target_modules=["nothing"])),
    ("llama", dict()),
    ("llama", dict(target_modules="all-linear", layers_to_transform=[0])),
    ("llama", dict(target_modules=["q_proj"], layers_pattern="layers")),
    ("gpt2", dict(target_modules=["c_proj"])),
    ("gpt2", dict(target_modules=["attn.c_proj", "wte"])),
    ("gpt2", dict(target_modules="all-linear")),
    ("gpt2", dict(target_modules=["c_attn"], layers_to_transform=[1], layers_pattern="h")),
    ("gpt2", dict(target_modules=["c_attn"], layers_to_transform=[1])),
    ("gpt2", dict(target_modules=["attn"])),
    ("gpt2", dict()),
]
rows = []
for base, settings in configs:
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(os.path.join(here, "bases", base)))
    try:
        model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=2, **settings))
        found = sorted(
            name.removeprefix("base_model.model.") for name, module in model.named_modules() if isinstance(module, LoraLayer))
    except (ValueError, TypeError) as error:
        found = None
        print(base, settings, "->", type(error).__name__, str(error)[:80])
    rows.append({"base": base, "config": settings, "sites": found})
with open(os.path.join(here, "targets.json"), "w") as file:
    json.dump(rows, file, indent=1)
