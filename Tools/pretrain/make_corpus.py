#!/usr/bin/env python3
"""Lay out the text the embedded base model is pretrained on.

  make_corpus.py DATA OUT      DATA holds kjv/kjv.txt (one verse a line) and fortunes/train.jsonl, fortunes/eval.jsonl

writes OUT/train.jsonl, OUT/valid.jsonl and OUT/verses.txt. Six verses in a row make one text. The first nine tenths of the
verses are learned, the last tenth is never seen: valid.jsonl is a sample of it, verses.txt all of it.
"""
import json, os, sys

data, out = sys.argv[1:3]
verses = open(f"{data}/kjv/kjv.txt", encoding="utf-8").read().splitlines()
border = len(verses) * 9 // 10
quotes = [json.loads(line)["text"] for line in open(f"{data}/fortunes/train.jsonl", encoding="utf-8")]


def passages(lines):
    return ["\n".join(lines[i:i + 6]) for i in range(0, len(lines), 6)]


os.makedirs(out, exist_ok=True)
for name, texts in [("train", passages(verses[:border]) + quotes), ("valid", passages(verses[border:])[::8])]:
    with open(f"{out}/{name}.jsonl", "w", encoding="utf-8") as file:
        for text in texts:
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
with open(f"{out}/verses.txt", "w", encoding="utf-8") as file:
    file.write("\n".join(verses[border:]) + "\n")
