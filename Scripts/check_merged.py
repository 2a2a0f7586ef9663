#!/usr/bin/env python3
"""Loads a model that `peft merge` wrote in transformers, and compares what it computes with base and adapter in Hugging Face PEFT.

    check_merged.py check BASE ADAPTER MERGED       compares; ends with 1 where a bound is exceeded
    check_merged.py make BASE ADAPTER [SETTINGS]    writes an adapter of PEFT for BASE, every trained number drawn; SETTINGS is JSON
                                                    as in adapter_config.json, LoRA's unless it has a `peft_type`, and `labels`:
                                                    how many classes a new head tells apart

Weights in float32: outputs within 1e-4 of PEFT's, relative where they are over 1. In bfloat16 the weights must be those that PEFT's own
merge in double gives when they are rounded once (a last place may differ where the sum lies between two of them), and outputs,
computed in float32 from them, within 5e-2 of those before rounding, relative to the largest. Needs torch, transformers, peft.
"""

import argparse
import json
import os
import re
import sys
import warnings

import torch
import transformers as T
from peft import PeftModel, get_peft_config, get_peft_model
from safetensors import safe_open

warnings.simplefilter("ignore")
T.logging.set_verbosity_error()
torch.set_num_threads(1)

FLOAT_BOUND, ROUNDED_BOUND = 1e-4, 5e-2
OUTPUTS = ("logits", "last_hidden_state", "pooler_output", "text_embeds", "image_embeds", "logits_per_image")


def read(folder, name="config.json"):
    with open(os.path.join(folder, name)) as file:
        return json.load(file)


def kind(config):
    """The class that transformers opens a model with."""
    architecture = (config.get("architectures") or [""])[0]
    for ending, auto in (
        ("LMHeadModel", T.AutoModelForCausalLM), ("ForCausalLM", T.AutoModelForCausalLM),
        ("ForSequenceClassification", T.AutoModelForSequenceClassification),
        ("ForImageClassification", T.AutoModelForImageClassification),
    ):
        if architecture.endswith(ending):
            return auto
    return T.AutoModel


def opened(folder, auto, **settings):
    """The model, and what its files lacked and had too much."""
    model, info = auto.from_pretrained(folder, output_loading_info=True, **settings)
    return model.eval(), info


def inputs(config, seed=0):
    """Random inputs of the model that config.json describes, with padding."""
    torch.manual_seed(seed)
    given = {}
    text, vision = config.get("text_config", config), config.get("vision_config", config)
    if "vocab_size" in text:
        vocabulary = text["vocab_size"]
        length = min(12, (text.get("max_position_embeddings") or text.get("n_positions") or 14) - 2)
        ids = torch.randint(3, vocabulary - 1, (3, length))
        mask = torch.ones_like(ids)
        mask[1, length - 3:] = 0
        if config["model_type"] == "roberta":
            ids[ids == config["pad_token_id"]] += 1
            ids[mask == 0] = config["pad_token_id"]
        if config["model_type"].startswith("clip"):
            ids[:, length // 2] = text.get("eos_token_id", vocabulary - 1)
        given |= dict(input_ids=ids, attention_mask=mask)
    if "image_size" in vision:
        size = vision["image_size"]
        height, width = size if isinstance(size, list) else (size, size)
        given["pixel_values"] = torch.randn(2, vision.get("num_channels", 3), height, width)
    return given


def outputs(model, given):
    with torch.no_grad():
        given = {k: v.to(model.dtype) if v.is_floating_point() else v for k, v in given.items()}
        out = model(**given)
    return {k: out[k].double() for k in OUTPUTS if k in out and out[k] is not None}


def distance(a, b):
    """The largest difference, as a share of the largest number where that is over 1."""
    return max((a[k] - b[k]).abs().max().item() / max(1, b[k].abs().max().item()) for k in b)


def stored(folder):
    """Number types by tensor, and how many files there are."""
    files = [name for name in sorted(os.listdir(folder)) if re.fullmatch(r"model(-\d+-of-\d+)?\.safetensors", name)]
    types = {}
    for name in files:
        with safe_open(os.path.join(folder, name), "pt") as file:
            for key in file.keys():
                types[key] = str(file.get_tensor(key).dtype).removeprefix("torch.")
    return types, len(files)


def check(base, adapter, merged):
    config = read(merged)
    auto = kind(config)
    settings = {}
    if "id2label" in config and auto in (T.AutoModelForSequenceClassification, T.AutoModelForImageClassification):
        settings = dict(
            id2label={int(k): v for k, v in config["id2label"].items()}, label2id=config["label2id"], ignore_mismatched_sizes=True)

    def theirs(dtype):
        # What the base lacks is in the adapter; what is in neither is no part of the comparison.
        torch.manual_seed(1)
        model, info = opened(base, auto, dtype=dtype, **settings)
        return PeftModel.from_pretrained(model, adapter).eval(), info

    types, files = stored(merged)
    given = inputs(config)
    reference, lacking = theirs(torch.float32)
    wanted = outputs(reference, given)
    ours, info = opened(merged, auto, dtype=torch.float32)
    faults = []
    if info["unexpected_keys"]:
        faults.append(f"tensors that transformers does not know: {sorted(info['unexpected_keys'])[:4]}")
    if info["mismatched_keys"]:
        faults.append(f"tensors of other shapes: {sorted(info['mismatched_keys'])[:4]}")
    missing = {key for key in info["missing_keys"] if "pooler" not in key or auto is not T.AutoModel}
    if missing:
        faults.append(f"tensors that are missing: {sorted(missing)[:4]}")
    if any("pooler" in key for key in lacking["missing_keys"]):
        wanted.pop("pooler_output", None)
    got = {k: v for k, v in outputs(ours, given).items() if k in wanted}
    error = distance(got, wanted)
    numbers = sorted(set(types.values()))
    result = dict(
        model=config["model_type"], architecture=(config.get("architectures") or ["-"])[0], types=numbers, files=files, error=error)
    plain, _ = opened(base, auto, dtype=torch.float32, **settings)
    result["moved"] = distance({k: v for k, v in outputs(plain, given).items() if k in wanted}, wanted)
    if numbers == ["float32"]:
        result["bound"] = FLOAT_BOUND
    else:
        result["bound"] = ROUNDED_BOUND
        result["places"] = places(theirs(torch.float64)[0], ours, set(info["missing_keys"]))
        if result["places"] > 1:
            faults.append(f"a weight is {result['places']:.1f} last places from W + ΔW")
        # As users load it: in the type that config.json names.
        given_type, _ = opened(merged, auto, dtype="auto")
        result["loaded_as"] = str(given_type.dtype).removeprefix("torch.")
        if result["loaded_as"] not in numbers:
            faults.append(f"loaded in {result['loaded_as']}, though the files are {numbers}")
    if not error <= result["bound"]:
        faults.append(f"off by {error:.1e}, more than {result['bound']:.0e}")
    names = ("generation_config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt")
    lost = [name for name in names if os.path.exists(os.path.join(base, name)) and not os.path.exists(os.path.join(merged, name))]
    if lost:
        faults.append(f"files that were not carried along: {lost}")
    result["faults"] = faults
    return result


def places(reference, ours, missing):
    """How many last places of bfloat16 a weight is from PEFT's own merge in double, at most: half of one is exact rounding."""
    whole = reference.merge_and_unload().state_dict()
    worst = 0.0
    for name, tensor in ours.state_dict().items():
        if name in missing or not tensor.is_floating_point():
            continue
        exact = whole[name].double()
        _, exponent = torch.frexp(exact)
        place = torch.ldexp(torch.ones_like(exact), exponent - 8)
        off = ((tensor.double() - exact).abs() / place).max().item() if tensor.numel() else 0
        worst = max(worst, off)
    return worst


def make(base, adapter, settings):
    labels = settings.pop("labels", None)
    config = read(base)
    head = {} if labels is None else dict(num_labels=labels, ignore_mismatched_sizes=True)
    torch.manual_seed(1)
    tasks = {"FEATURE_EXTRACTION": T.AutoModel, "SEQ_CLS": T.AutoModelForSequenceClassification}
    auto = tasks.get(settings.get("task_type"), kind(config))
    model, _ = opened(base, auto, dtype=torch.float32, **head)
    model = get_peft_model(model, get_peft_config({"peft_type": "LORA"} | settings))
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        noise = 0.1 * torch.randn_like(parameter)
        parameter.data = parameter.data * (1 + noise) if "magnitude" in name else parameter.data + noise
    model.save_pretrained(adapter)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("check")
    for name in ("base", "adapter", "merged"):
        one.add_argument(name)
    one.add_argument("--name", help="print a row of a table, with this in front")
    two = commands.add_parser("make")
    for name in ("base", "adapter"):
        two.add_argument(name)
    two.add_argument("settings", nargs="?", default="{}")
    given = parser.parse_args()
    if given.command == "make":
        return make(given.base, given.adapter, json.loads(given.settings))
    result = check(given.base, given.adapter, given.merged)
    if given.name:
        places = f"{result['places']:.2f}" if "places" in result else ""
        print(
            f"| {given.name} | {result['architecture']} | {', '.join(result['types'])} | {result['files']} | {result['moved']:.2f} "
            f"| {result['error']:.1e} | {places} | {'FAILED' if result['faults'] else 'ok'} |", flush=True)
    else:
        print(json.dumps(result, indent=2))
    for fault in result["faults"]:
        print(f"{given.name or given.merged}: {fault}", file=sys.stderr)
    sys.exit(1 if result["faults"] else 0)


if __name__ == "__main__":
    main()
