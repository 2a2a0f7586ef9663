#!/usr/bin/env python3
"""The peer: Hugging Face PEFT on PyTorch, as its users run it on a CPU. Needs: pip install torch transformers peft.

  peer.py versions                                      what is installed
  peer.py model ARCH DIR [--seed S]                     a model directory with random weights
  peer.py prepare DIR --out RUN [--method M --rank R …] a run both sides repeat: RUN/batches.safetensors, RUN/adapter_init/
  peer.py train DIR --run RUN [--steps N --threads T …] that run's steps, timed
  peer.py generate DIR [--prompt P --new N …]           greedy generation, timed
  peer.py start DIR --init I --rank R                   how long an adapter takes to start

Each prints one JSON line. AdamW: betas (0.9, 0.999), eps 1e-8, no weight decay, constant rate, no clipping, no dropout. Where
adapters start at zero they are moved off it (B ~ N(0, 0.02)), so that every gradient is there from the first step on.
"""
import argparse, json, os, resource, statistics, time

LLAMA_TINY = dict(hidden_size=64, intermediate_size=176, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                  vocab_size=512, max_position_embeddings=512)
ARCHS = {  # name -> (model_type, config, dtype)
    "llama-tiny": ("llama", LLAMA_TINY, "float32"),
    "llama-30m": ("llama", dict(hidden_size=512, intermediate_size=1376, num_hidden_layers=8, num_attention_heads=8,
                                num_key_value_heads=4, vocab_size=8192, max_position_embeddings=1024), "float32"),
    "llama-160m": ("llama", dict(hidden_size=768, intermediate_size=2048, num_hidden_layers=12, num_attention_heads=12,
                                 num_key_value_heads=12, vocab_size=32000, max_position_embeddings=2048), "float32"),
    "gpt2-124m": ("gpt2", dict(n_embd=768, n_layer=12, n_head=12, vocab_size=50257, n_positions=1024), "float32"),
    # Qwen2.5-0.5B by its shape, in a family that both sides read.
    "qwen-shape": ("llama", dict(hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
                                 num_key_value_heads=2, head_dim=64, vocab_size=151936, max_position_embeddings=4096,
                                 attention_bias=True, tie_word_embeddings=True), "bfloat16"),
}
NO_DROPOUT = dict(attention_dropout=0.0, attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0)


def versions(_):
    import platform
    import peft, torch, transformers
    return dict(python=platform.python_version(), torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__)


def model(a):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    kind, config, dtype = ARCHS[a.arch]
    torch.manual_seed(a.seed)
    known = AutoConfig.for_model(kind).to_dict()
    config = {"tie_word_embeddings": kind == "gpt2", **config, **{k: v for k, v in NO_DROPOUT.items() if k in known}}
    made = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **config)).to(getattr(torch, dtype))
    made.config.dtype = getattr(torch, dtype)
    made.save_pretrained(a.dir)
    return dict(arch=a.arch, parameters=sum(p.numel() for p in made.parameters()))


def adapter_config(method, rank, targets, init=True):
    import peft
    if method in ("lora", "dora"):
        return peft.LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, use_dora=method == "dora", init_lora_weights=init,
                               target_modules=targets, task_type="CAUSAL_LM")
    kinds = dict(unilora=peft.UniLoraConfig, randlora=peft.RandLoraConfig, vera=peft.VeraConfig)
    return kinds[method](r=rank, target_modules=targets, task_type="CAUSAL_LM")


def targets_of(a):
    return a.targets if a.targets == "all-linear" else a.targets.split(",")


def base(a):
    import torch
    from transformers import AutoModelForCausalLM
    torch.set_num_threads(a.threads)
    return AutoModelForCausalLM.from_pretrained(a.dir, dtype=getattr(torch, a.dtype))


def prepare(a):
    import torch
    from safetensors.torch import save_file
    import peft
    torch.manual_seed(a.seed)
    ids = torch.randint(0, (plain := base(a)).config.vocab_size, (a.steps, a.batch, a.seq))
    os.makedirs(a.out, exist_ok=True)
    save_file({"input_ids": ids}, f"{a.out}/batches.safetensors")
    if a.method != "full":
        adapted = peft.get_peft_model(plain, adapter_config(a.method, a.rank, targets_of(a)))
        with torch.no_grad():
            for name, p in adapted.named_parameters():
                if p.requires_grad and "lora_B" in name:
                    p.normal_(0, 0.02)
        adapted.save_pretrained(f"{a.out}/adapter_init")
    return dict(steps=a.steps, batch=a.batch, seq=a.seq)


def train(a):
    import torch
    from safetensors.torch import load_file
    import peft
    adapted = base(a)
    if os.path.isdir(f"{a.run}/adapter_init"):
        adapted = peft.PeftModel.from_pretrained(adapted, f"{a.run}/adapter_init", is_trainable=True)
    else:
        adapted.requires_grad_(True)
    adapted.train()
    trained = [p for p in adapted.parameters() if p.requires_grad]
    ids = load_file(f"{a.run}/batches.safetensors")["input_ids"]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.0)
    losses, seconds = [], []
    for step in range(a.warm_up + a.steps):
        batch = ids[step % len(ids)]
        began = time.perf_counter()
        loss = adapted(input_ids=batch, labels=batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - began)
        losses.append(loss.item())
    median = statistics.median(seconds[a.warm_up:])
    return dict(seconds_per_step=median, tokens_per_second=ids[0].numel() / median, trainable=sum(p.numel() for p in trained),
                peak_bytes=peak(), losses=losses)


def generate(a):
    import torch
    plain = base(a).eval()
    torch.manual_seed(1)
    prompt = torch.randint(0, plain.config.vocab_size, (1, a.prompt))
    mask = torch.ones_like(prompt)
    seconds = []
    with torch.no_grad():
        for _ in range(a.times + 1):
            began = time.perf_counter()
            made = plain.generate(prompt, attention_mask=mask, do_sample=False, min_new_tokens=a.new, max_new_tokens=a.new,
                                  pad_token_id=0)
            seconds.append(time.perf_counter() - began)
            assert made.shape[1] == a.prompt + a.new
    median = statistics.median(seconds[1:])
    return dict(seconds=median, tokens_per_second=a.new / median, peak_bytes=peak())


def start(a):
    import peft
    plain = base(a)
    config = adapter_config("lora", a.rank, targets_of(a), a.init)
    began = time.perf_counter()
    peft.get_peft_model(plain, config)
    return dict(init=a.init, seconds=time.perf_counter() - began, peak_bytes=peak())


def peak():
    """The most that was resident, interpreter and libraries included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)

    def verb(body, *places, **options):
        p = verbs.add_parser(body.__name__)
        p.set_defaults(body=body)
        for place in places:
            p.add_argument(place, **(dict(choices=ARCHS) if place == "arch" else {}))
        for name, default in options.items():
            p.add_argument("--" + name.replace("_", "-"), type=type(default), default=default)

    run = dict(dtype="float32", threads=2)
    verb(versions)
    verb(model, "arch", "dir", seed=0)
    verb(prepare, "dir", out="", method="lora", rank=8, targets="q_proj,v_proj", batch=8, seq=256, steps=10, seed=1, **run)
    verb(train, "dir", run="", steps=5, warm_up=2, **run)
    verb(generate, "dir", prompt=64, new=128, times=2, **run)
    verb(start, "dir", init="pissa", rank=16, targets="all-linear", **run)
    a = parser.parse_args()
    print(json.dumps(a.body(a)))


main()
