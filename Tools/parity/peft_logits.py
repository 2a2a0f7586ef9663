"""Whether Hugging Face PEFT computes from an adapter's files what `peft forward` computed from them, or from what they came from.

    peft forward --model BASE --adapter ADAPTER --inputs ids.safetensors --out logits.safetensors
    python peft_logits.py BASE EXPORTED ids.safetensors logits.safetensors

Needs torch, transformers and peft. Prints the largest difference of a logit and ends with code 1 if it is over 2e-5 of the largest.
"""

import sys

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

base, adapter, ids, logits = sys.argv[1:5]
model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
inputs = load_file(ids)["input_ids"].long()
with torch.no_grad():
    before = model(inputs).logits
    after = PeftModel.from_pretrained(model, adapter).eval()(inputs).logits
expected = load_file(logits)["logits"]
difference = (after - expected).abs().max().item()
size = expected.abs().max().item()
moved = (after - before).abs().max().item()
print(f"largest difference {difference:.3g} of logits up to {size:.3g}; the adapter moves them by {moved:.3g}")
sys.exit(not difference <= 2e-5 * max(1.0, size) or moved == 0)
