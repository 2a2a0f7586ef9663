#!/usr/bin/env python3
"""What transformers makes of the first 200 texts of examples/data/fortunes/eval.jsonl with all-MiniLM-L6-v2 as it is: `embeddings`
[200, 384], means over what is no padding, of length 1, F32, in `embeddings.safetensors`. Run in this folder, with the model's folder
(`Scripts/minilm` fetches it) and torch, transformers 5.23 and safetensors installed: make.py FOLDER"""
import json, pathlib, sys
import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer

HERE = pathlib.Path(__file__).resolve().parent
ROWS = HERE / "../../../../examples/data/fortunes/eval.jsonl"

torch.set_num_threads(1)
tokenizer, model = AutoTokenizer.from_pretrained(sys.argv[1]), AutoModel.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
texts = [json.loads(line)["text"] for line in ROWS.read_text().splitlines()[:200]]
made = []
with torch.no_grad():
    for start in range(0, len(texts), 20):
        given = tokenizer(texts[start:start + 20], padding=True, truncation=True, max_length=256, return_tensors="pt")
        mask = given["attention_mask"].unsqueeze(-1).float()
        means = (model(**given).last_hidden_state * mask).sum(1) / mask.sum(1)
        made.append(torch.nn.functional.normalize(means, dim=-1))
save_file({"embeddings": torch.cat(made).contiguous()}, HERE / "embeddings.safetensors")
print(torch.cat(made).shape)
