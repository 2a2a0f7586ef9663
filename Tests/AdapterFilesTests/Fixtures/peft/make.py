"""Adapters that Hugging Face PEFT wrote, and its logits with them: python make.py (peft 0.21.2, transformers 5.23, torch 2.15).

Every trainable number is drawn anew after the start, so that nothing is zero by chance. What a case is about is its name.
"""

import json
import os
import shutil
import sys
import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

warnings.simplefilter("ignore")
torch.set_num_threads(1)
here = os.path.dirname(os.path.abspath(__file__))
only = set(sys.argv[1:])


def bases():
    torch.manual_seed(7)
    llama = LlamaForCausalLM(LlamaConfig(
        vocab_size=48, hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, attention_bias=True, tie_word_embeddings=False,
        bos_token_id=1, eos_token_id=2, initializer_range=0.2))
    tied = LlamaForCausalLM(LlamaConfig(
        vocab_size=48, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=64, tie_word_embeddings=True,
        bos_token_id=1, eos_token_id=2, initializer_range=0.2))
    gpt2 = GPT2LMHeadModel(GPT2Config(
        vocab_size=48, n_embd=16, n_layer=2, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2,
        initializer_range=0.2))
    models = {"llama": llama, "tied": tied, "gpt2": gpt2}
    for name, model in models.items():
        for parameter in model.parameters():
            # Biases and gains start flat.
            if parameter.dim() == 1:
                parameter.data += 0.1 * torch.randn_like(parameter)
        folder = os.path.join(here, "bases", name)
        model.eval().save_pretrained(folder)
        for extra in os.listdir(folder):
            if extra not in ("config.json", "model.safetensors"):
                os.remove(os.path.join(folder, extra))


classes = {"llama": LlamaForCausalLM, "tied": LlamaForCausalLM, "gpt2": GPT2LMHeadModel}
ids = torch.tensor([[5, 17, 3, 20, 41, 7, 11, 9, 12, 33], [2, 1, 47, 30, 8, 8, 19, 40, 6, 4]])


def base(name):
    return classes[name].from_pretrained(os.path.join(here, "bases", name), torch_dtype=torch.float32).eval()


# name: (base, settings of LoraConfig)
cases = {
    "llama-patterns": ("llama", dict(
        r=4, lora_alpha=6, target_modules=["q_proj", "v_proj", "down_proj"], rank_pattern={"layers.1.self_attn.q_proj": 2, "down_proj": 3},
        alpha_pattern={r".*\.2\..*_proj": 10, "v_proj": 5})),
    "llama-rslora-patterns": ("llama", dict(
        r=4, lora_alpha=6, use_rslora=True, target_modules=["q_proj", "o_proj"], rank_pattern={"o_proj": 3},
        alpha_pattern={"layers.0.self_attn.q_proj": 3})),
    "llama-lora-bias": ("llama", dict(r=2, lora_bias=True, target_modules=["q_proj", "gate_proj"])),
    "llama-bias-all": ("llama", dict(r=2, bias="all", target_modules=["q_proj", "up_proj"])),
    "llama-bias-only": ("llama", dict(r=2, bias="lora_only", target_modules=["q_proj", "up_proj"])),
    "llama-modules": ("llama", dict(
        r=2, target_modules="all-linear", modules_to_save=["lm_head", "norm", "layers.2.mlp.down_proj"])),
    "llama-embedding-saved": ("llama", dict(r=2, target_modules=["v_proj"], modules_to_save=["embed_tokens"])),
    "llama-dora-bias": ("llama", dict(r=2, lora_alpha=4, use_dora=True, bias="all", target_modules=["q_proj", "v_proj", "down_proj"])),
    "llama-layers": ("llama", dict(
        r=2, target_modules=["q_proj", "model.layers.0.mlp.down_proj"], layers_to_transform=[1, 2], layers_pattern="layers")),
    "llama-regex": ("llama", dict(
        r=2, target_modules=r"^(?!.*layers\.1\.).*self_attn\.(q|k)_proj", exclude_modules=r".*\.2\..*k_proj")),
    "llama-exclude": ("llama", dict(r=2, target_modules="ALL-LINEAR", exclude_modules=["gate_proj", "layers.0.self_attn.q_proj"])),
    "llama-default": ("llama", dict(r=2)),
    "llama-pissa": ("llama", dict(r=3, lora_alpha=6, init_lora_weights="pissa", target_modules=["q_proj", "k_proj", "down_proj"])),
    "llama-pissa-niter": ("llama", dict(r=3, init_lora_weights="pissa_niter_16", target_modules=["q_proj"])),
    "llama-olora": ("llama", dict(r=3, lora_alpha=6, init_lora_weights="olora", target_modules=["q_proj", "k_proj", "down_proj"])),
    "llama-mica": ("llama", dict(r=3, init_lora_weights="mica", target_modules=["q_proj", "v_proj"])),
    "llama-pissa-converted": ("llama", dict(
        r=3, lora_alpha=6, init_lora_weights="pissa", use_rslora=True, target_modules=["q_proj", "down_proj"])),
    "llama-embedding": ("llama", dict(r=3, lora_alpha=6, target_modules=["embed_tokens", "lm_head", "q_proj"])),
    "llama-tokens": ("llama", dict(r=2, target_modules=["q_proj"], trainable_token_indices=[3, 20, 47])),
    "tied-head-saved": ("tied", dict(r=2, target_modules=["q_proj"], modules_to_save=["lm_head"])),
    "tied-embedding-saved": ("tied", dict(r=2, target_modules=["q_proj"], modules_to_save=["embed_tokens"])),
    "tied-both-saved": ("tied", dict(
        r=2, target_modules=["q_proj"], modules_to_save=["embed_tokens"], ensure_weight_tying=True)),
    "tied-embedding": ("tied", dict(r=2, target_modules=["embed_tokens", "q_proj"])),
    "tied-tokens": ("tied", dict(r=2, target_modules=["q_proj"], trainable_token_indices={"embed_tokens": [3, 20]})),
    "gpt2-conv": ("gpt2", dict(r=3, lora_alpha=9, target_modules=["c_attn", "c_fc", "mlp.c_proj"])),
    "gpt2-bias-all": ("gpt2", dict(r=2, bias="all", target_modules=["attn.c_proj"])),
    "gpt2-bias-only": ("gpt2", dict(r=2, bias="lora_only", target_modules=["c_attn"], modules_to_save=["ln_f"])),
    "gpt2-bias-all-modules": ("gpt2", dict(r=2, bias="all", target_modules=["c_attn"], modules_to_save=["ln_f", "mlp.c_fc"])),
    "gpt2-all": ("gpt2", dict(r=2, target_modules="all-linear")),
    "gpt2-default": ("gpt2", dict(r=2)),
    "gpt2-dora": ("gpt2", dict(r=2, use_dora=True, target_modules=["c_attn", "mlp.c_proj"])),
    "gpt2-pissa": ("gpt2", dict(r=3, lora_alpha=6, init_lora_weights="pissa", target_modules=["c_attn", "mlp.c_proj"])),
    "gpt2-embedding": ("gpt2", dict(r=2, target_modules=["wte", "wpe", "c_attn"])),
}


def logits(model):
    with torch.no_grad():
        return model(input_ids=ids).logits.float().contiguous()


def make(name, family, settings):
    torch.manual_seed(sum(map(ord, name)))
    folder = os.path.join(here, name)
    shutil.rmtree(folder, ignore_errors=True)
    model = get_peft_model(base(family), LoraConfig(task_type="CAUSAL_LM", **settings)).eval()
    if name.endswith("converted"):
        model.save_pretrained(folder + "-start")
    for key, parameter in model.named_parameters():
        if parameter.requires_grad and "magnitude" not in key:
            parameter.data += 0.1 * torch.randn_like(parameter)
        elif parameter.requires_grad:
            parameter.data *= 1 + 0.1 * torch.randn_like(parameter)
    expected = logits(model)
    if name.endswith("converted"):
        model.save_pretrained(folder, path_initial_model_for_weight_conversion=folder + "-start")
        shutil.rmtree(folder + "-start")
    else:
        model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    path = os.path.join(folder, "adapter_config.json")
    with open(path) as file:
        config = json.load(file)
    config["base_model_name_or_path"] = "../bases/" + family
    with open(path, "w") as file:
        json.dump(config, file, indent=2, sort_keys=True)
    again = logits(PeftModel.from_pretrained(base(family), folder).eval())
    print(name, "reloaded by PEFT, off by", (again - expected).abs().max().item(), flush=True)
    for key, tensor in load_file(os.path.join(folder, "adapter_model.safetensors")).items():
        print("   ", key, list(tensor.shape))
    return expected


if not only:
    shutil.rmtree(os.path.join(here, "bases"), ignore_errors=True)
    bases()
path = os.path.join(here, "logits.safetensors")
expected = load_file(path) if only else {"ids": ids.to(torch.int32)}
for name, (family, settings) in cases.items():
    if not only or name in only:
        expected[name] = make(name, family, settings)
save_file(expected, path)
