"""Makes the fixtures of this folder: what the `tokenizers` library gives, for the tests to compare with.

    python make.py --scripture ../../../models/scripture/tokenizer.json kjv.txt fortunes.jsonl gsm8k.jsonl
    python make.py --show llama2 17            # what the library gives for line 17 (from 1) of lines.jsonl
    python make.py --rows tokenizer.json       # digests for any other tokenizer

Writes `lines.jsonl` (the texts, from `texts.py`), and for every family (of `families.py`) `NAME.json` (the tokenizer;
`scripture` is read from where it lives) and `NAME.txt`, a row of three digests for every text: of its ids with and
without special tokens, of what they decode to without special tokens and with them, and of its encoding together with
the next text, cut and padded. The lists themselves would be megabytes.

`components.jsonl` holds normalizers, pre-tokenizers and decoders one by one (of `components.py`) with digests of what
they give for 50 texts each; `normal_forms.json` digests of the normal forms and the lower case of all scalars, 4096 at
a time; `scalars.json` the ranges of the classes that the library's regular expressions know (both of `scalars.py`).

Made with `tokenizers` 0.23.3. Tokenizers that are there are kept, because the library's trainers break ties as it
happens; all else is the same for a given version of it.
"""

import argparse
import json
import pathlib

from tokenizers import Tokenizer

from components import components, token_lists
from digests import digest, listed
from families import FAMILIES
from scalars import classes, normal_forms
from texts import lines

HERE = pathlib.Path(__file__).resolve().parent

# What pairs are cut and padded to, in turn.
TRUNCATIONS = [
    None,
    {"max_length": 24, "strategy": "longest_first", "direction": "right"},
    {"max_length": 17, "strategy": "longest_first", "direction": "left"},
]
PADDINGS = [None, {"length": 32, "direction": "right", "pad_id": 1, "pad_type_id": 0}, {"pad_to_multiple_of": 8, "direction": "left", "pad_id": 0, "pad_type_id": 1}]


def pair(tokenizer, texts, i):
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if truncation := TRUNCATIONS[i % 3]:
        tokenizer.enable_truncation(**truncation)
    if padding := PADDINGS[i // 3 % 3]:
        tokenizer.enable_padding(**padding)
    made = tokenizer.encode(texts[i], texts[(i + 1) % len(texts)], add_special_tokens=i % 2 == 0)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return "|".join(listed(part) for part in [made.ids, made.type_ids, made.attention_mask, made.special_tokens_mask])


def row(tokenizer, texts, i):
    ids = tokenizer.encode(texts[i]).ids
    bare = tokenizer.encode(texts[i], add_special_tokens=False).ids
    decoded = [tokenizer.decode(ids, skip_special_tokens=skips) for skips in [True, False]]
    return [f"{listed(ids)}|{listed(bare)}", "\0".join(decoded), pair(tokenizer, texts, i)]


def write(name, rows):
    (HERE / name).write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows), encoding="utf-8")


def written():
    return [json.loads(line) for line in (HERE / "lines.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]


def digests(tokenizer, texts):
    # Whoever saved the file may have had it cut and pad.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return "".join(" ".join(digest(part) for part in row(tokenizer, texts, i)) + "\n" for i in range(len(texts)))


def show(name, number, scripture):
    texts = written()
    tokenizer = Tokenizer.from_file(str(scripture if name == "scripture" else HERE / f"{name}.json"))
    print(repr(texts[number - 1]), tokenizer.encode(texts[number - 1]).tokens, *row(tokenizer, texts, number - 1), sep="\n")


def main():
    parser = argparse.ArgumentParser(description="Makes the fixtures of this folder.")
    parser.add_argument("sources", nargs="*", type=pathlib.Path)
    parser.add_argument("--scripture", type=pathlib.Path, default=HERE / "../../../models/scripture/tokenizer.json")
    parser.add_argument("--rows", type=pathlib.Path, metavar="TOKENIZER", help="print the digests for another tokenizer.json")
    parser.add_argument("--show", nargs=2, metavar=("NAME", "LINE"))
    options = parser.parse_args()
    if options.rows:
        return print(digests(Tokenizer.from_file(str(options.rows)), written()), end="")
    if options.show:
        return show(options.show[0], int(options.show[1]), options.scripture)

    texts = lines(options.sources)
    write("lines.jsonl", texts)
    write("components.jsonl", components([text for i, text in enumerate(texts) if i < 220 or i % 4 == 0]))
    write("tokens.jsonl", token_lists())
    (HERE / "scalars.json").write_text(json.dumps(classes(), separators=(",", ":")) + "\n")
    (HERE / "normal_forms.json").write_text(json.dumps(normal_forms(), separators=(",", ":")) + "\n")
    made = {"scripture": Tokenizer.from_file(str(options.scripture))}
    for make in FAMILIES:
        file = HERE / f"{make.__name__}.json"
        if not file.exists():
            make(texts).save(str(file), pretty=False)
        made[make.__name__] = Tokenizer.from_file(str(file))
    for name, tokenizer in made.items():
        (HERE / f"{name}.txt").write_text(digests(tokenizer, texts))


if __name__ == "__main__":
    main()
