"""Lets PEFT load adapters for encoders that this project wrote, and compares what it computes with them with what we do.

    PEFT_WRITE_ENCODER_ADAPTERS=/some/empty/folder swift test --filter EncoderFilesTests
    python check.py /some/empty/folder

Every adapter's folder is named after its case in cases.py, and holds `outputs.safetensors`, ours for the inputs of the case.
"""

import os
import sys
import warnings

import torch
from peft import PeftModel
from safetensors.torch import load_file

from cases import base, inputs

warnings.simplefilter("ignore")
torch.set_num_threads(1)


def main(folder):
    worst = 0.0
    for name in sorted(os.listdir(folder)):
        place = os.path.join(folder, name)
        case = name.removesuffix("+own").removesuffix("+export")
        ours = load_file(os.path.join(place, "outputs.safetensors"))
        with torch.no_grad():
            plain = base(case)(**inputs(case))
            model = PeftModel.from_pretrained(base(case), place).eval()
            theirs = model(**inputs(case))
        error = max((theirs[k] - ours[k]).abs().max().item() for k in ours)
        moved = max((theirs[k] - plain[k]).abs().max().item() for k in ours)
        worst = max(worst, error)
        print(f"{name}: {type(model).__name__}, off by {error:.1e}; the adapter moves outputs by {moved:.2f}", flush=True)
    if worst > 2e-5:
        sys.exit(f"off by {worst:.1e}, more than 2e-5")


if __name__ == "__main__":
    main(sys.argv[1])
