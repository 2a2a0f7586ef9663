#!/usr/bin/env python3
"""Tiny random models at many settings, and what transformers computes with them. Written with torch 2.15, transformers 5.23.

  make.py [OUT]

writes into the folder it is in (or OUT), for every group of cases that can share weights, `<group>/model.safetensors`, and for
every case `<group>/<case>.json` (the config) and `<group>/<case>.safetensors` with input_ids and attention_mask [4, 13] int64,
logits [4, 13, 41] and loss [1] (labels: the ids, -100 where they are hidden). Row 0 hides nothing, row 1 its end, row 2 its
beginning, row 3 some in the middle and the end.
"""
import json, os, sys
import torch
from safetensors.torch import save_file
import transformers as T

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
SMALL = dict(hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             vocab_size=41, max_position_embeddings=64)


def rope(kind, theta=10000.0, **settings):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **settings}}


def older(kind, theta=10000.0, **settings):
    return {"rope_theta": theta, "rope_scaling": {"type": kind, **settings}}


SHORT, LONG = [1.0, 1.1, 1.3, 1.7], [1.0, 2.5, 6.0, 9.5]
# group: (model, settings of all its cases, the cases)
GROUPS = {
    "llama": (T.LlamaConfig, {}, {
        "llama3": rope("llama3", 500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16),
        "llama3-outer": dict(rope("llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0), original_max_position_embeddings=8),
        "linear": older("linear", 3000.0, factor=3.0),
        "dynamic-inside": older("dynamic", factor=2.0),
        "dynamic-beyond": dict(rope("dynamic", factor=2.5), max_position_embeddings=8),
        "yarn": rope("yarn", factor=4.0, original_max_position_embeddings=16),
        "yarn-all": rope("yarn", 50000.0, factor=8.0, original_max_position_embeddings=8, beta_fast=8.0, beta_slow=0.5, mscale=0.8,
                         mscale_all_dim=0.5, truncate=False),
        "yarn-mscale": rope("yarn", factor=4.0, original_max_position_embeddings=16, mscale=0.7),
        "yarn-attention": dict(older("yarn", factor=16.0, original_max_position_embeddings=4, attention_factor=1.3, finetuned=True)),
        "yarn-derived": dict(rope("yarn", factor=None, original_max_position_embeddings=16)),
        "longrope-short": rope("longrope", short_factor=SHORT, long_factor=LONG, original_max_position_embeddings=32),
        "longrope-long": rope("longrope", short_factor=SHORT, long_factor=LONG, original_max_position_embeddings=8),
        "longrope-factors": rope("longrope", short_factor=SHORT, long_factor=LONG, original_max_position_embeddings=12, factor=3.0,
                                 attention_factor=0.9),
        "longrope-outer": dict(rope("longrope", short_factor=SHORT, long_factor=LONG), original_max_position_embeddings=8),
        "proportional": rope("proportional", factor=2.0, partial_rotary_factor=0.5),
        "gelu": dict(hidden_act="gelu"),
        "gelu_new": dict(hidden_act="gelu_new"),
        "relu": dict(hidden_act="relu"),
        "swish": dict(hidden_act="swish", rms_norm_eps=1e-3),
    }),
    "llama-biased": (T.LlamaConfig, dict(num_key_value_heads=1, head_dim=6, attention_bias=True, mlp_bias=True, tie_word_embeddings=True), {
        "plain": {},
        "theta": {"rope_theta": 250.0},
    }),
    "mistral": (T.MistralConfig, {}, {
        "window-1": dict(sliding_window=1),
        "window-4": dict(sliding_window=4),
        "window-12": dict(sliding_window=12),
        "window-13": dict(sliding_window=13),
        "no-window": dict(sliding_window=None),
        "default-window": {"-sliding_window": None},
        "yarn": dict(rope("yarn", factor=4.0, original_max_position_embeddings=16), sliding_window=5),
    }),
    "mistral-wide": (T.MistralConfig, dict(num_key_value_heads=4, head_dim=12, tie_word_embeddings=True), {
        "window-6": dict(sliding_window=6),
    }),
    "qwen2": (T.Qwen2Config, dict(num_hidden_layers=3), {
        "no-window": dict(use_sliding_window=False, sliding_window=4),
        "window": dict(use_sliding_window=True, sliding_window=4, max_window_layers=1),
        "window-late": dict(use_sliding_window=True, sliding_window=4, max_window_layers=28),
        "window-everywhere": dict(use_sliding_window=True, sliding_window=3, max_window_layers=0),
        "layer-types": dict(use_sliding_window=True, sliding_window=4, max_window_layers=28,
                            layer_types=["sliding_attention", "full_attention", "sliding_attention"]),
        "yarn": dict(older("yarn", 1e6, factor=4.0, original_max_position_embeddings=16)),
    }),
    "qwen2-one-group": (T.Qwen2Config, dict(num_key_value_heads=1, tie_word_embeddings=True), {"plain": {}}),
    "qwen3": (T.Qwen3Config, dict(head_dim=6, num_hidden_layers=3), {
        "plain": {},
        "window": dict(use_sliding_window=True, sliding_window=5, max_window_layers=2),
        "layer-types": dict(use_sliding_window=True, sliding_window=2,
                            layer_types=["full_attention", "sliding_attention", "full_attention"]),
        "dynamic": dict(rope("dynamic", factor=2.0), max_position_embeddings=10),
    }),
    "qwen3-biased": (T.Qwen3Config, dict(head_dim=16, num_key_value_heads=1, attention_bias=True, tie_word_embeddings=True), {
        "plain": dict(rms_norm_eps=1e-5),
    }),
    "gemma2": (T.Gemma2Config, dict(head_dim=12, num_hidden_layers=3), {
        "window": dict(sliding_window=4),
        "caps": dict(sliding_window=4, attn_logit_softcapping=2.0, final_logit_softcapping=5.0, query_pre_attn_scalar=9),
        "no-caps": dict(sliding_window=4, attn_logit_softcapping=None, final_logit_softcapping=None, query_pre_attn_scalar=12),
        "layer-types": dict(sliding_window=3, layer_types=["full_attention", "sliding_attention", "sliding_attention"]),
        "one-cap": dict(attn_logit_softcapping=3.0, final_logit_softcapping=None),
        "gelu": dict(hidden_activation="gelu"),
        "llama3": rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16),
    }),
    # The root of 40 is one that bfloat16 rounds.
    "gemma2-bfloat16": (T.Gemma2Config, dict(head_dim=8, hidden_size=40, num_key_value_heads=1, attention_bias=True, sliding_window=6), {
        "plain": dict(dtype="bfloat16"),
    }),
    "gpt2": (T.GPT2Config, dict(n_embd=32, n_layer=2, n_head=4, n_positions=16), {
        "gelu": dict(activation_function="gelu"),
        "relu": dict(activation_function="relu", n_inner=None),
        "scales": dict(scale_attn_by_inverse_layer_idx=True, activation_function="gelu_pytorch_tanh"),
        "no-scale": dict(scale_attn_weights=False),
    }),
}


def inputs():
    ids = torch.randint(3, 41, (4, 13))
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    mask[2, :5] = 0
    mask[3, 3:7] = 0
    mask[3, 11:] = 0
    return ids, mask


def case(folder, name, cls, settings, state):
    # A name after "-" is left out of the config: the library's default stands for it.
    absent = [key[1:] for key in settings if key.startswith("-")]
    settings = {key: value for key, value in settings.items() if not key.startswith("-")}
    config = cls(**settings)
    written = {"model_type": cls.model_type, **{k: v for k, v in settings.items() if k not in absent}}
    # What is read is the very file that the case has.
    path = os.path.join(folder, name + ".json")
    with open(path, "w") as file:
        file.write(json.dumps(written, indent=2) + "\n")
    config = cls.from_dict(json.load(open(path)))
    config._attn_implementation = "eager"
    dtype = config.dtype or torch.float32
    torch.set_default_dtype(dtype)
    model = T.AutoModelForCausalLM.from_config(config).eval()
    torch.set_default_dtype(torch.float32)
    if state is None:
        torch.manual_seed(len(folder.split("/")[-1]))
        with torch.no_grad():
            for p in model.parameters():
                p.normal_(0, 0.25) if p.dim() > 1 else p.add_(torch.randn_like(p) * 0.2)
        state = {k: v.clone() for k, v in model.state_dict().items() if not (k == "lm_head.weight" and config.tie_word_embeddings)}
        save_file(state, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    model.load_state_dict(state, strict=False)
    model.tie_weights()
    # Products in float, of the rounded numbers; what transformers rounded to the model's type stays rounded.
    scale = getattr(model.model, "embed_tokens", None) if hasattr(model, "model") else None
    scale = scale.embed_scale.to(dtype).float() if hasattr(scale, "embed_scale") else None
    model = model.float()
    if scale is not None:
        model.model.embed_tokens.embed_scale = scale
    torch.manual_seed(7)
    ids, mask = inputs()
    labels = ids.masked_fill(mask == 0, -100)
    with torch.no_grad():
        out = model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False)
    save_file(dict(input_ids=ids, attention_mask=mask, logits=out.logits.contiguous(), loss=out.loss.reshape(1)),
              os.path.join(folder, name + ".safetensors"))
    print(folder.split("/")[-1], name, float(out.loss), float(out.logits.abs().max()))
    return state


for group, (cls, shared, cases) in GROUPS.items():
    folder = os.path.join(OUT, group)
    os.makedirs(folder, exist_ok=True)
    state = None
    for name, settings in cases.items():
        small = {} if cls is T.GPT2Config else SMALL
        state = case(folder, name, cls, {**small, "vocab_size": 41, **shared, **settings}, state)
