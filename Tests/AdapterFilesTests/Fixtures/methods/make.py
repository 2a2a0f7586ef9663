"""Makes the fixtures of this folder with PEFT 0.21.2, transformers 5.23 and torch 2.15 (CPU): `python make.py`.

`bases`: a tiny llama (grouped heads, so that sites differ in shape) and a tiny gpt2, with drawn weights. Each other folder holds an
adapter that PEFT trained on one of them for a few steps and saved, and `logits.safetensors`: token ids and PEFT's logits for them,
computed by the adapter as PEFT loads it again. `name` says what is special; `cases` below says all of it.
"""

import os
import shutil

import torch
from peft import FourierFTConfig, PeftModel, RandLoraConfig, ShiraConfig, VeraConfig, WaveFTConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
QV, ALL = ["q_proj", "v_proj"], ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"]
GPT2 = ["c_attn", "mlp.c_proj"]

CASES = {
    "llama-vera": ("llama", VeraConfig(r=6, target_modules=ALL)),
    "llama-vera-seed": ("llama", VeraConfig(r=5, target_modules=ALL, save_projection=False, projection_prng_key=3)),
    "gpt2-vera": ("gpt2", VeraConfig(r=7, target_modules=GPT2, save_projection=False, d_initial=0.3)),
    "llama-randlora": ("llama", RandLoraConfig(r=5, randlora_alpha=20, target_modules=QV)),
    "llama-randlora-seed": ("llama", RandLoraConfig(r=5, randlora_alpha=20, target_modules=ALL, save_projection=False,
                                                    projection_prng_key=9)),
    "llama-randlora-sparse": ("llama", RandLoraConfig(r=4, randlora_alpha=8, target_modules=QV, save_projection=False,
                                                      sparse=True)),
    "gpt2-randlora-very-sparse": ("gpt2", RandLoraConfig(r=6, randlora_alpha=6, target_modules=GPT2, save_projection=False,
                                                         very_sparse=True, projection_prng_key=1)),
    "llama-shira": ("llama", ShiraConfig(r=2, target_modules=ALL, random_seed=11)),
    "llama-shira-default": ("llama", ShiraConfig(r=1, target_modules=QV)),
    "llama-fourierft": ("llama", FourierFTConfig(n_frequency=70, scaling=12.0, target_modules=ALL,
                                                 n_frequency_pattern={"v_proj": 33, "layers.1.mlp.up_proj": 90})),
    "gpt2-fourierft": ("gpt2", FourierFTConfig(n_frequency=50, scaling=9.0, target_modules=GPT2, random_loc_seed=5)),
    "llama-waveft": ("llama", WaveFTConfig(n_frequency=60, target_modules=ALL, n_frequency_pattern={"o_proj": 41})),
    "llama-waveft-sym4": ("llama", WaveFTConfig(n_frequency=60, wavelet_family="sym4", target_modules=ALL, scaling=8.0,
                                                proportional_parameters=True)),
    "gpt2-waveft-db2": ("gpt2", WaveFTConfig(n_frequency=45, wavelet_family="db2", target_modules=GPT2, random_loc_seed=2)),
    "llama-waveft-plain": ("llama", WaveFTConfig(n_frequency=60, use_idwt=False, target_modules=QV, scaling=2.0)),
}


def base(family):
    """A model with drawn weights, and its folder."""
    folder = os.path.join(HERE, "bases", family)
    if not os.path.exists(folder):
        torch.manual_seed(1)
        if family == "llama":
            model = LlamaForCausalLM(LlamaConfig(
                hidden_size=20, intermediate_size=27, num_hidden_layers=2, num_attention_heads=5, num_key_value_heads=1, head_dim=4,
                vocab_size=48, max_position_embeddings=32, initializer_range=0.2))
        else:
            model = GPT2LMHeadModel(GPT2Config(
                n_embd=20, n_layer=2, n_head=2, vocab_size=48, n_positions=32, initializer_range=0.2, embd_pdrop=0.0, attn_pdrop=0.0,
                resid_pdrop=0.0))
        model.save_pretrained(folder)
        os.path.exists(os.path.join(folder, "generation_config.json")) and os.remove(os.path.join(folder, "generation_config.json"))
    return AutoModelForCausalLM.from_pretrained(folder), folder


def logits(folder, family, ids):
    model = PeftModel.from_pretrained(base(family)[0], folder).eval()
    with torch.no_grad():
        return model(ids).logits


def main():
    ids = torch.randint(0, 48, (2, 9), generator=torch.Generator().manual_seed(4))
    for name, (family, config) in CASES.items():
        folder = os.path.join(HERE, name)
        shutil.rmtree(folder, ignore_errors=True)
        torch.manual_seed(7)
        config.task_type = "CAUSAL_LM"
        config.base_model_name_or_path = f"bases/{family}"
        model = get_peft_model(base(family)[0], config)
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=5e-2)
        for _ in range(4):
            loss = model(ids, labels=ids).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        for own in model.peft_config.values():
            own.base_model_name_or_path = f"bases/{family}"
        model.save_pretrained(folder)
        for extra in ("README.md",):
            if os.path.exists(os.path.join(folder, extra)):
                os.remove(os.path.join(folder, extra))
        ours = logits(folder, family, ids)
        with torch.no_grad():
            plain = base(family)[0](ids).logits
        save_file({"ids": ids, "logits": ours}, os.path.join(folder, "logits.safetensors"))
        names = load_file(os.path.join(folder, "adapter_model.safetensors"))
        print(f"{name}: {len(names)} tensors, loss {loss.item():.3f}, logits moved by {(ours - plain).abs().max():.3f}, "
              f"reloaded off by {(ours - model.eval()(ids).logits).abs().max():.1e}")


if __name__ == "__main__":
    main()
