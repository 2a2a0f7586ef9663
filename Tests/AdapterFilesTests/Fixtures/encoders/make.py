"""Adapters that Hugging Face PEFT trained for some steps on the tiny encoders, and what the models give with them, in double:
python make.py [case…] (peft 0.21.2, transformers 5.23, torch 2.15). The cases are in cases.py."""

import json
import os
import shutil
import sys
import warnings

import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

from cases import CASES, HERE, OUTPUTS, base, inputs

warnings.simplefilter("ignore")
torch.set_num_threads(1)


def trained(name):
    torch.manual_seed(sum(map(ord, name)))
    model = get_peft_model(base(name), CASES[name][3])
    given = inputs(name)
    parameters = [p for p in model.parameters() if p.requires_grad]
    # Lengths of rows and lambdas are far from 0, and a step is one of their size.
    optimizer = torch.optim.AdamW(parameters, lr=0.03, weight_decay=0)
    goal = None
    for _ in range(4):
        out = model(**given)
        values = [out[k] for k in OUTPUTS if k in out and out[k] is not None]
        if goal is None:
            goal = [torch.randn_like(v) for v in values]
        loss = sum(((v - g) ** 2).mean() for v, g in zip(values, goal))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def outputs(model, name):
    with torch.no_grad():
        model = model.double()
        given = {k: v.double() if v.is_floating_point() else v for k, v in inputs(name).items()}
        out = model(**given)
    return {k: out[k].float().contiguous() for k in OUTPUTS if k in out and out[k] is not None}


only = sys.argv[1:]
path = os.path.join(HERE, "outputs.safetensors")
expected = {k: v for k, v in load_file(path).items()} if only else {}
for name in only or CASES:
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    trained(name).save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    settings = os.path.join(folder, "adapter_config.json")
    with open(settings) as file:
        config = json.load(file)
    config["base_model_name_or_path"] = "ModelsTests/Fixtures/" + CASES[name][0]
    with open(settings, "w") as file:
        json.dump(config, file, indent=2, sort_keys=True)
    # What a file says, not what was in memory; a head that the base has not is in the file.
    torch.manual_seed(0)
    model = PeftModel.from_pretrained(base(name), folder)
    plain = outputs(base(name), name)
    for key, value in outputs(model, name).items():
        expected[f"{name}.{key}"] = value
        print(f"{name}.{key}", list(value.shape), "moved by", round((value - plain[key]).abs().max().item(), 3), flush=True)
    for key, tensor in load_file(os.path.join(folder, "adapter_model.safetensors")).items():
        print("   ", key, list(tensor.shape))
save_file(expected, path)
