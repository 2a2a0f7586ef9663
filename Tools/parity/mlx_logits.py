"""Whether mlx-lm computes from an adapter's files what `peft forward` computed from them, or from what they came from.

    peft export --format mlx --model BASE --adapter ADAPTER --out EXPORTED
    peft forward --model BASE --adapter ADAPTER --inputs ids.safetensors --out logits.safetensors
    python mlx_logits.py BASE EXPORTED ids.safetensors logits.safetensors

Needs mlx-lm (`pip install mlx-lm "mlx[cpu]"` on Linux). Prints the largest difference of a logit and ends with code 1 if it is over
2e-5 of the largest.
"""

import sys
from pathlib import Path

import mlx.core as mx
from mlx_lm.tuner.utils import load_adapters
from mlx_lm.utils import load_model

base, adapter, ids, logits = sys.argv[1:5]
mx.set_default_device(mx.cpu)
inputs = mx.load(ids)["input_ids"].astype(mx.int32)
model, _ = load_model(Path(base))
model.eval()
before = model(inputs)
mx.eval(before)
load_adapters(model, adapter)
model.eval()
after = model(inputs)
expected = mx.load(logits)["logits"]
difference = float(mx.abs(after - expected).max())
size = float(mx.abs(expected).max())
moved = float(mx.abs(after - before).max())
print(f"largest difference {difference:.3g} of logits up to {size:.3g}; the adapter moves them by {moved:.3g}")
sys.exit(not difference <= 2e-5 * max(1.0, size) or moved == 0)
