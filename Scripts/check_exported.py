#!/usr/bin/env python3
"""Opens adapters that `peft export` wrote in llama.cpp and in mlx-lm, and compares what they compute with PEFT.

    check_exported.py base BASE OUT                        copies BASE with what older readers look for in config.json
    check_exported.py reference BASE ADAPTER OUT           logits of transformers, and of PEFT with its adapter beside them
    check_exported.py llama.cpp BASE GGUF REFERENCE --converters FOLDER [--adapter ADAPTER]
                                                           with ADAPTER also: llama.cpp's converter writes the same file of it
    check_exported.py mlx BASE FOLDER REFERENCE

The last two print how far the log-probabilities of the base are from transformers', and those with the adapter from PEFT's: of every
token, after every prefix of two texts, in float32. They end with 1 where that is over 1e-4, and with 3 where a package is missing.
`base` and `reference` need torch, transformers, peft; `llama.cpp` torch, transformers, xllamacpp, and llama.cpp's sources; `mlx` mlx-lm.
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

warnings.simplefilter("ignore")
os.environ.setdefault("OMP_NUM_THREADS", "1")

BOUND = 1e-4
TEXTS, LENGTH = 2, 12


def needs(*packages):
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        print(f"not checked, for want of {', '.join(missing)}", file=sys.stderr)
        sys.exit(3)


def base(source, out):
    """The model, with the names that settings had before transformers 5, which llama.cpp's converter and mlx-lm read."""
    shutil.copytree(source, out)
    path = Path(out, "config.json")
    config = json.loads(path.read_text())
    if "rope_parameters" in config:
        config["rope_theta"] = config["rope_parameters"]["rope_theta"]
    if config["model_type"] == "gpt2":
        config["n_ctx"] = config["n_positions"]
    if config["model_type"] == "gemma2":
        # llama.cpp has no setting for it: it divides scores by the root of a head's width, which is right for Gemma 2 of 2B and 9B.
        config["query_pre_attn_scalar"] = config["head_dim"]
    path.write_text(json.dumps(config, indent=2))


def reference(folder, adapter, out):
    needs("torch", "transformers", "peft")
    import torch
    import transformers
    from peft import PeftModel
    from safetensors.torch import save_file

    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    ids = torch.randint(3, model.config.vocab_size - 1, (TEXTS, LENGTH))
    with torch.no_grad():
        plain = model(ids).logits
        adapted = PeftModel.from_pretrained(model, adapter).eval()(ids).logits
    save_file({"ids": ids.int(), "base": plain, "adapted": adapted}, out)


def loaded(path):
    from safetensors.numpy import load_file

    return load_file(path)


def normalized(logits):
    """Log-probabilities."""
    logits = logits.astype(np.float64)
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def compared(plain, adapted, wanted):
    """Prints the differences; gives back what is wrong."""
    off = {}
    for name, got in (("base", plain), ("adapted", adapted)):
        off[name] = float(np.abs(got - normalized(wanted[name])).max())
    moved = float(np.abs(normalized(wanted["adapted"]) - normalized(wanted["base"])).max())
    print(f"{off['base']:.1e} | {off['adapted']:.1e} | {moved:.2f}")
    faults = [f"{name}: off by {value:.1e}, more than {BOUND:.0e}" for name, value in off.items() if not value <= BOUND]
    return faults + ([f"the adapter moves log-probabilities by {moved:.1e} only"] if moved < 0.1 else [])


def converted(folder, converters, out):
    """The base as llama.cpp's converter writes it in F32. Its vocabulary is made up: prompts are given as numbers."""
    sys.path[:0] = [converters, os.path.join(converters, "gguf-py")]
    import gguf
    import torch
    from conversion import ModelBase, ModelType, get_model_architecture, get_model_class

    kind = get_model_class(get_model_architecture(ModelBase.load_hparams(Path(folder), False), ModelType.TEXT))

    class Nameless(kind):
        model_arch = kind.model_arch

        def set_vocab(self):
            count = self.hparams["vocab_size"]
            self.gguf_writer.add_tokenizer_model("llama")
            self.gguf_writer.add_tokenizer_pre("default")
            self.gguf_writer.add_token_list([f"<{number}>" for number in range(count)])
            self.gguf_writer.add_token_scores([0.0] * count)
            self.gguf_writer.add_token_types([gguf.TokenType.NORMAL] * count)
            self.gguf_writer.add_bos_token_id(1)
            self.gguf_writer.add_eos_token_id(2)

    with torch.inference_mode():
        Nameless(Path(folder), gguf.LlamaFileType.ALL_F32, Path(out)).write()


def same(ours, folder, adapter, converters):
    """What sets a file apart from the one that llama.cpp's converter makes of PEFT's adapter, but for what that says of its origin."""
    import gguf

    with tempfile.TemporaryDirectory() as scratch:
        theirs = os.path.join(scratch, "theirs.gguf")
        script = os.path.join(converters, "convert_lora_to_gguf.py")
        run = subprocess.run(
            [sys.executable, script, "--base", folder, "--outfile", theirs, adapter], capture_output=True, text=True)
        if run.returncode != 0:
            return [f"llama.cpp's converter: {run.stderr.strip().splitlines()[-1]}"]
        ours, theirs = gguf.GGUFReader(ours), gguf.GGUFReader(theirs)

        def said(file):
            return {
                key: (field.types, field.contents()) for key, field in file.fields.items()
                if not key.startswith(("GGUF.", "general.base_model", "general.tags", "general.name"))
                and key != "general.quantization_version"}

        faults = [] if said(ours) == said(theirs) else [f"says {said(ours)}, llama.cpp's converter {said(theirs)}"]
        ours, theirs = ({t.name: t for t in file.tensors} for file in (ours, theirs))
        if ours.keys() != theirs.keys():
            faults.append(f"tensors in one only: {sorted(ours.keys() ^ theirs.keys())[:4]}")
        for name in ours.keys() & theirs.keys():
            one, other = ours[name], theirs[name]
            if one.tensor_type != other.tensor_type or list(one.shape) != list(other.shape) or not np.array_equal(one.data, other.data):
                faults.append(f"'{name}' is not what llama.cpp's converter writes")
        return faults


def served(model, ids, vocabulary, adapter=None):
    """Log-probabilities in llama.cpp's server. Keys and values in F32: as it comes it keeps them in F16."""
    import xllamacpp as x

    given = x.CommonParams()
    given.model.path = model
    given.n_ctx, given.n_parallel, given.n_gpu_layers, given.verbosity = 64, 1, 0, 0
    given.cpuparams.n_threads = given.cpuparams_batch.n_threads = 1
    given.cache_type_k = given.cache_type_v = x.ggml_type.GGML_TYPE_F32
    given.flash_attn_type = x.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    given.warmup = given.fit_params = given.cache_prompt = False
    if adapter is not None:
        given.lora_adapters = [x.CommonAdapterLoraInfo(adapter, 1.0)]
    server = x.Server(given)
    logs = np.full((*ids.shape, vocabulary), np.nan)
    for row, text in enumerate(ids.tolist()):
        for place in range(len(text)):
            answer = server.handle_completions(
                {"prompt": text[: place + 1], "max_tokens": 1, "temperature": 1.0, "logprobs": vocabulary})
            for token in answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
                logs[row, place, token["id"]] = token["logprob"]
    return logs


def in_llama(folder, file, wanted, converters, adapter):
    needs("torch", "transformers", "xllamacpp")
    wanted = loaded(wanted)
    vocabulary = wanted["base"].shape[-1]
    with tempfile.TemporaryDirectory() as scratch:
        model = os.path.join(scratch, "base.gguf")
        converted(folder, converters, model)
        faults = [] if adapter is None else same(file, folder, adapter, converters)
        plain, adapted = served(model, wanted["ids"], vocabulary), served(model, wanted["ids"], vocabulary, file)
    return faults + compared(plain, adapted, wanted)


def in_mlx(folder, adapter, wanted):
    needs("mlx", "mlx_lm")
    import mlx.core as mx
    from mlx_lm.utils import load_adapters, load_model

    mx.set_default_device(mx.cpu)
    wanted = loaded(wanted)
    ids = mx.array(wanted["ids"])

    def opened():
        model, _ = load_model(Path(folder))
        return model

    with tempfile.TemporaryDirectory() as bare:
        if json.loads(Path(folder, "config.json").read_text())["model_type"] == "gpt2":
            # mlx-lm knows the names of GPT-2's first files, which had no prefix.
            weights = mx.load(os.path.join(folder, "model.safetensors"))
            mx.save_safetensors(
                os.path.join(bare, "model.safetensors"), {key.removeprefix("transformer."): value for key, value in weights.items()})
            shutil.copy(os.path.join(folder, "config.json"), bare)
            folder = bare
        plain, adapted = opened(), load_adapters(opened(), adapter)
        logs = []
        for model in (plain, adapted):
            model.eval()
            logs.append(normalized(np.array(model(ids).astype(mx.float32))))
    return compared(*logs, wanted)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, names in (
        ("base", ("base", "out")), ("reference", ("base", "adapter", "out")), ("mlx", ("base", "file", "reference")),
        ("llama.cpp", ("base", "file", "reference")),
    ):
        one = commands.add_parser(command)
        for name in names:
            one.add_argument(name)
        if command == "llama.cpp":
            one.add_argument("--converters", required=True)
            one.add_argument("--adapter")
    given = parser.parse_args()
    faults = []
    if given.command == "base":
        base(given.base, given.out)
    elif given.command == "reference":
        reference(given.base, given.adapter, given.out)
    elif given.command == "llama.cpp":
        faults = in_llama(given.base, given.file, given.reference, given.converters, given.adapter)
    else:
        faults = in_mlx(given.base, given.file, given.reference)
    for fault in faults:
        print(f"{given.file}: {fault}", file=sys.stderr)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
