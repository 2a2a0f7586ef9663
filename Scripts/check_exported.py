#!/usr/bin/env python3
"""Opens adapters that `peft export` wrote in llama.cpp and in mlx-lm, and compares what they compute with PEFT.

    check_exported.py make BASE CASE [SETTINGS]       CASE/base: the model, with what older readers look for in its config.json;
                                                      CASE/adapter: one of PEFT for it, as check_merged.py draws them;
                                                      CASE/reference.safetensors: logits of transformers, and of PEFT with the adapter
    check_exported.py llama.cpp CASE SOURCES [--same] CASE/adapter.gguf, over a base that the converter in llama.cpp's SOURCES
                                                      writes; --same: it has to be the file that they make of PEFT's adapter
    check_exported.py mlx CASE                        CASE/mlx

The last two print how far log-probabilities of the base are from transformers', how far those with the adapter are from PEFT's, and
how far the adapter moves them: of every token, after every prefix of two texts, in float32. They end with 1 where a difference is over
1e-4 (5e-3 for models with GELU in llama.cpp), and with 3 where a package is missing. `make` needs torch, transformers, peft;
`llama.cpp` torch, transformers, xllamacpp; `mlx` mlx-lm.
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

try:
    import numpy as np
except ModuleNotFoundError:
    sys.exit(3)

warnings.simplefilter("ignore")
os.environ.setdefault("OMP_NUM_THREADS", "1")

BOUND = 1e-4
# llama.cpp looks GELU up in a table of half precision.
TABLE_BOUND = 5e-3
TEXTS, LENGTH = 2, 12


def needs(*packages):
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        print(f"{sys.executable} lacks {', '.join(missing)}", file=sys.stderr)
        sys.exit(3)


def make(source, case, settings):
    needs("torch", "transformers", "peft")
    import check_merged

    folder, adapter = os.path.join(case, "base"), os.path.join(case, "adapter")
    shutil.copytree(source, folder)
    path = Path(folder, "config.json")
    config = json.loads(path.read_text())
    # Settings had other places before transformers 5.
    if "rope_parameters" in config:
        config["rope_theta"] = config["rope_parameters"]["rope_theta"]
    if config["model_type"] == "gpt2":
        config["n_ctx"] = config["n_positions"]
    if config["model_type"] == "gemma2":
        # llama.cpp does not read it: it divides scores by the root of a head's width, as Gemma 2 of 2B and 9B does.
        config["query_pre_attn_scalar"] = config["head_dim"]
    path.write_text(json.dumps(config, indent=2))
    check_merged.make(folder, adapter, settings)
    reference(folder, adapter, os.path.join(case, "reference.safetensors"))


def reference(folder, adapter, out):
    import torch
    import transformers
    from peft import PeftModel
    from safetensors.torch import save_file

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


def compared(plain, adapted, wanted, bound=BOUND):
    """Prints the differences; gives back what is wrong."""
    wanted = {name: normalized(wanted[name]) for name in ("base", "adapted")}
    off = {name: float(np.abs(got - wanted[name]).max()) for name, got in (("base", plain), ("adapted", adapted))}
    moved = float(np.abs(wanted["adapted"] - wanted["base"]).max())
    print(f"{off['base']:.1e} {off['adapted']:.1e} {moved:.2f}")
    faults = [f"{name}: off by {value:.1e}, more than {bound:.0e}" for name, value in off.items() if not value <= bound]
    return faults + ([] if moved > 0.1 else [f"the adapter moves log-probabilities by {moved:.1e} only"])


def converted(folder, sources, out):
    """The base as llama.cpp's converter writes it in F32. Its vocabulary is made up: prompts are given as numbers."""
    sys.path[:0] = [sources, os.path.join(sources, "gguf-py")]
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


def same(ours, folder, adapter, sources):
    """What sets a file apart from the one that llama.cpp's converter makes of PEFT's adapter, but for what that says of its origin.

    Of GPT-2 the converter transposes PEFT's factors as if they were stored like Conv1D's weights, which they are not, and llama.cpp
    does not load what it writes. There the two are to be each other's transposes.
    """
    import gguf

    with tempfile.TemporaryDirectory() as scratch:
        theirs = os.path.join(scratch, "theirs.gguf")
        script = os.path.join(sources, "convert_lora_to_gguf.py")
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
        is_gpt2 = said(ours)["general.architecture"][1] == "gpt2"
        ours, theirs = ({t.name: t for t in file.tensors} for file in (ours, theirs))
        if ours.keys() != theirs.keys():
            return faults + [f"tensors in one only: {sorted(ours.keys() ^ theirs.keys())[:4]}"]
        for name, one in ours.items():
            other = theirs[name].data
            if is_gpt2:
                other = theirs[name[:-1] + ("b" if name.endswith("a") else "a")].data.T
            if one.tensor_type != theirs[name].tensor_type or not np.array_equal(one.data, other):
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


def in_llama(case, sources, is_same):
    needs("torch", "transformers", "xllamacpp")
    folder, file = os.path.join(case, "base"), os.path.join(case, "adapter.gguf")
    wanted = loaded(os.path.join(case, "reference.safetensors"))
    vocabulary = wanted["base"].shape[-1]
    model = os.path.join(case, "base.gguf")
    converted(folder, sources, model)
    faults = same(file, folder, os.path.join(case, "adapter"), sources) if is_same else []
    plain, adapted = served(model, wanted["ids"], vocabulary), served(model, wanted["ids"], vocabulary, file)
    has_gelu = json.loads(Path(folder, "config.json").read_text())["model_type"] in ("gemma2", "gpt2")
    return faults + compared(plain, adapted, wanted, TABLE_BOUND if has_gelu else BOUND)


def in_mlx(case):
    needs("mlx", "mlx_lm")
    import mlx.core as mx
    from mlx_lm.utils import load_adapters, load_model

    mx.set_default_device(mx.cpu)
    folder = os.path.join(case, "base")
    wanted = loaded(os.path.join(case, "reference.safetensors"))
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
        plain, adapted = opened(), load_adapters(opened(), os.path.join(case, "mlx"))
        logs = []
        for model in (plain, adapted):
            model.eval()
            logs.append(normalized(np.array(model(ids).astype(mx.float32))))
    return compared(*logs, wanted)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("make", "llama.cpp", "mlx"):
        one = commands.add_parser(command)
        if command == "make":
            one.add_argument("base")
        one.add_argument("case")
        if command == "make":
            one.add_argument("settings", nargs="?", default="{}")
        if command == "llama.cpp":
            one.add_argument("sources")
            one.add_argument("--same", action="store_true")
    given = parser.parse_args()
    if given.command == "make":
        return make(given.base, given.case, json.loads(given.settings))
    faults = in_mlx(given.case) if given.command == "mlx" else in_llama(given.case, given.sources, given.same)
    for fault in faults:
        print(f"{given.case}: {fault}", file=sys.stderr)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
