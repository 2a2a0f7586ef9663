"""Lets PEFT load adapters that this project wrote, and compares its logits with ours.

    PEFT_WRITE_ADAPTERS=/some/empty/folder swift test --filter MethodFilesTests
    python check.py /some/empty/folder

Every adapter's folder is named after its base in `bases`, and holds `logits.safetensors` with our logits for the ids beside them.
"""

import os
import sys

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))


def main(folder):
    worst = 0.0
    for name in sorted(os.listdir(folder)):
        place = os.path.join(folder, name)
        base = AutoModelForCausalLM.from_pretrained(os.path.join(HERE, "bases", name.split("-")[0]))
        given = load_file(os.path.join(place, "logits.safetensors"))
        with torch.no_grad():
            plain = base(given["ids"]).logits
            theirs = PeftModel.from_pretrained(base, place).eval()(given["ids"]).logits
        error = (theirs - given["logits"]).abs().max().item()
        worst = max(worst, error)
        print(f"{name}: off by {error:.1e}; the adapter moves logits by {(plain - theirs).abs().max().item():.2f}")
    if worst > 2e-5:
        sys.exit(f"off by {worst:.1e}, more than 2e-5")


if __name__ == "__main__":
    main(sys.argv[1])
