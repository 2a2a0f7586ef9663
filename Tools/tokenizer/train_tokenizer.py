"""Trains a byte-level BPE tokenizer and writes it as tokenizer.json.

    python Tools/tokenizer/train_tokenizer.py --out models/scripture kjv.txt@0.9 fortunes.jsonl*3 gsm8k.jsonl*5

A source is a text file, taken line by line, or a .jsonl file, of whose objects every string but "label" is taken.
`@FRACTION` takes only the first lines (so that a held-out end stays unseen), `*TIMES` weighs a source.
Digits stand alone, so that arithmetic is done on digits.

Needs the `tokenizers` package.
"""

import argparse
import json
import pathlib

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END_OF_TEXT = "<|endoftext|>"


def texts(source):
    path, _, times = source.partition("*")
    path, _, fraction = path.partition("@")
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    lines = lines[: int(len(lines) * float(fraction or 1))]
    for _ in range(int(times or 1)):
        for line in lines:
            if path.endswith(".jsonl"):
                yield from (v for k, v in json.loads(line).items() if k != "label" and isinstance(v, str))
            else:
                yield line + "\n"


def main():
    parser = argparse.ArgumentParser(description="Trains a byte-level BPE tokenizer.")
    parser.add_argument("sources", nargs="+", metavar="PATH[@FRACTION][*TIMES]")
    parser.add_argument("--vocabulary", type=int, default=2048)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="directory for the two files")
    options = parser.parse_args()

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=options.vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((t for s in options.sources for t in texts(s)), trainer)

    options.out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(options.out / "tokenizer.json"), pretty=False)
    config = {"eos_token": END_OF_TEXT, "tokenizer_class": "PreTrainedTokenizerFast"}
    (options.out / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
