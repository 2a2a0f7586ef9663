"""Makes the fixture of Tests/TokenizationTests: what the reference library gives, for the tests to compare with.

    python Tools/tokenizer/make_fixture.py --scripture models/scripture/tokenizer.json \\
        --out Tests/TokenizationTests/Fixtures kjv.txt fortunes.jsonl gsm8k.jsonl

Writes `lines.jsonl` (the texts), and for each of four tokenizers `NAME.json` (but for the model's own, which is read
from where it lives) and `NAME.jsonl` with a line per text: its `ids`, the `bare` ids without added special tokens
where they differ, and what the ids decode to, as `text` without special tokens and `whole` with them, each where it
differs from the text itself. `scalars.json` holds the ranges of the classes that the library's regular expressions
know.

Deterministic for a given version of the `tokenizers` package (made with 0.23.3).
"""

import argparse
import json
import pathlib
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

BYTE_LEVEL = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)

HANDWRITTEN = [
    "", " ", "  ", "   ", "\t", "\n", "\r\n", "\r", "\n\n\n", " \n ", "  \n  \n  x", "a\n\n b", "x \r\n\r\n y", "\u00a0", "\u3000x",
    "Hello, world!", "hello", " hello", "  hello", "   hello   world   ", "tab\tseparated\t\tvalues", "trailing   ",
    "I'm you're he's we've they'll I'd don't", "I'M YOU'RE HE'S WE'VE THEY'LL I'D DON'T", "'s 'S 't 'T 'Re 'vE 'lL 'LL 'D",
    "it's'ss 'sx 'rex 'r 'v 'l ' '' 'l'l '\u017f '\u017fa x'\u017f", "O'Reilly 'twas rock 'n' roll", "don\u2019t \u2018quoted\u2019",
    "0 1 12 123 1234 12345 123456 1234567", "3.14159, 1,000,000; -42 + 7 = -35", "1/2 \u00bd \u00b2 \u2167 \u0663\u0664\u0665 \u0967\u0968\u0969 \U0001d7d8\U0001d7d9",
    "a1b2c3 4d5e6", "x=1;y=22;z=333;w=4444", "$900 20% #1 @user", "2024-02-30T12:34:56Z",
    "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 family", "\U0001f3f3\ufe0f\u200d\U0001f308 flag \U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", "thumbs \U0001f44d\U0001f3fd up \u2764\ufe0f", "1\ufe0f\u20e3 keycap",
    "\u4f60\u597d\uff0c\u4e16\u754c\uff01", "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8\u3002\u304c \u304b\u3099", "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab \uac00\u11a8", "\u4e2d\u6587 mixed \u82f1\u6587 text 123 \u6570\u5b57",
    "\u0627\u0644\u0633\u064e\u0651\u0644\u064e\u0627\u0645\u064f \u0639\u064e\u0644\u064e\u064a\u0652\u0643\u064f\u0645\u0652", "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01", "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd", "\u0baa\u0bca\u0ba4\u0bc1",
    "caf\u00e9 cafe\u0301 \u212b \u00c5 A\u030a \u1e69 s\u0323\u0307 s\u0307\u0323", "na\u00efve r\u00e9sum\u00e9 \u00df \u1e9e \ufb01 \u0130 i\u0307", "\uac00\u11a7 \uac00\u11a8 \uac01\u11a8", "\u2df7\U00011d44 \U00011935\U00011930 \u1ac7\u20ec", "\u0344 \u0958 \u2126 \u1100\u1161 \u0301 leading", "e\u0301\u0327 e\u0327\u0301 \u0041\u0300\u0301",
    "Na\u00efve Caf\u00e9 in Cafe\u0301 caf\u00e9", "\u0393\u03b5\u03b9\u03ac \u03c3\u03bf\u03c5 \u041f\u0440\u0438\u0432\u0435\u0442", "\u1d4d\u1d43 \u02b0\u02c8 \u01c5 \u2160\u2188",
    "\x00", "a\x00b", "\x01\x02\x1f\x7f", "\x85next", "\u2028line\u2029para", "a\u200bb\u200cc\u200dd\u2060e\ufefff", "\u00ad soft\u00adhyphen", "\u180e mongolian",
    "\u1680ogham \u2000\u2001\u2002 \u202fnarrow \u205f x", "a\u00a0b \u00a0c\u00a0 d \u00a0\u00a0 e", " \u00a0x", "\u00a0\n\u00a0x", "\x0b\x0cx \x1c\x1d y",
    "\ufffd \uffff \U0010ffff \U000e0001 \ue000", "\U00020000\U0002a6df \U00031350 \U000323b0 \u1c89 \U00010d40 \U0001e6c0",
    "<|endoftext|>", "a<|endoftext|>b", "a <|endoftext|> b", "<|endoftext|><|endoftext|>", "<|endoftext", "|endoftext|>", "<|ENDOFTEXT|>", " <|endoftext|>\n",
    "<mask>", "fill the <mask> in", "fill the  \t<mask>  in", "<mask><mask>", "<mask> <mask>", "<right>   x", "x <right> \n y", "<both>", "a  <both>  b", "a <right> <mask> b", "<both> <both>",
    "WORD", "a WORD b", "aWORD WORDb WORD.", "WORD_ \u00e9WORD WORD\u00e9 WORD\u0301 \u200dWORD WORD1 (WORD) WORDWORD", "-WORD-", "\u4e2dWORD", "\u2460WORD", "\u203fWORD",
    "ab abc abcd abcde", "<a> <ab> <abc>", "<a<ab<abc>>", "<abc", "the\u00e9\u0301nd",
    "def f(x):\n    return x ** 2  # square\n", "for (int i = 0; i < n; ++i) { a[i] += b[i]; }", "if (a && b || !c) { return a?.b ?? c; }",
    "<html><body class=\"x\">&amp;</body></html>", "SELECT * FROM t WHERE a <> 'b''c';", "\\frac{1}{2} \\alpha_{ij}", "https://example.com/a?b=c&d=%20#e",
    "let x: [Int] = [1, 2, 3].map { $0 * 2 }", "\t\tif x:\n\t\t\treturn\n\n\n", "a  b   c    d     e", "...!!!???", "-- --- ----", "!?\n\n\n!?", " !\r\n", "\"quotes\" 'single' `tick`", "a'b'c", "_snake_case camelCase PascalCase SCREAMING_CASE",
    "supercalifragilisticexpialidocious" * 8, "a" * 300, " " * 100, "=" * 200, "ab" * 150, "\U0001f600" * 40, "1" * 100, "\u0301" * 30, "x\n" * 60,
]

PARTS = [
    " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\x85", "\u2009", "'s", "'S", "'LL", "'re", "'", "the", "The", " a", "b", "Z", "\u00e9", "e\u0301", "\u00df", "1", "23",
    "4567", "\u0663", "\u00bd", ".", ",", "!", " ?", "--", "/", "\U0001f600", "\u200d", "\ufe0f", "\u4e2d", "\u3042", "\u0928\u0947", "\u064e", "\u0301", "\x00", "\x1f",
    "<|endoftext|>", "<mask>", "<right>", "<both>", "WORD", "<a>", "<ab>", "Caf\u00e9", "Cafe\u0301", "_", "\U00020000", "\u1112\u1161\u11ab",
]


def strings(path):
    for line in path.read_text(encoding="utf-8").splitlines():
        if path.suffix == ".jsonl":
            yield from (v for k, v in json.loads(line).items() if k != "label" and isinstance(v, str))
        else:
            yield line


def lines(sources):
    choose = random.Random(7)
    texts = list(HANDWRITTEN)
    for source in sources:
        texts += [t[:400] for t in choose.sample(list(strings(source)), 160)]
    # Cut code points at random too: starts and ends inside words, blanks and clusters.
    for _ in range(200):
        text = choose.choice(texts)
        start = choose.randrange(len(text) + 1)
        texts.append(text[start : start + choose.randrange(1, 60)])
    for _ in range(500):
        texts.append("".join(choose.choices(PARTS, k=choose.randrange(1, 16))))
    for _ in range(60):
        texts.append("".join(chr(choose.choice(SCALARS)) for _ in range(24)))
    return texts


SCALARS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def train(tokenizer, texts, special):
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # Without the lines of random scalars, which teach nothing.
    tokenizer.train_from_iterator(texts[:-60], trainer)
    return tokenizer


def gpt2(texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    train(tokenizer, texts, ["<|endoftext|>"])
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.add_tokens(
        [
            AddedToken("<right>", rstrip=True, normalized=False),
            AddedToken("<both>", lstrip=True, rstrip=True),
            AddedToken("WORD", single_word=True, normalized=False),
            AddedToken("<a>"), AddedToken("<ab>"), AddedToken("<ab"), AddedToken(" abc", normalized=False),
        ]
    )
    return tokenizer


def llama3(texts):
    begin = "<|begin_of_text|>"
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(LLAMA3), behavior="isolated", invert=False), BYTE_LEVEL]
    )
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, texts, [begin, "<|endoftext|>"])
    template = processors.TemplateProcessing(single=f"{begin} $A", pair=f"{begin} $A {begin}:1 $B:1", special_tokens=[(begin, 0)])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return tokenizer


def qwen2(texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(QWEN2), behavior="isolated", invert=False), BYTE_LEVEL]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    train(tokenizer, texts, ["<|endoftext|>"])
    tokenizer.add_tokens(
        [AddedToken("Caf\u00e9", normalized=True), AddedToken("A\u030a", normalized=True), AddedToken("WORD", single_word=True)]
    )
    return tokenizer


def ranges(scalars):
    found = []
    for scalar in sorted(scalars):
        if found and found[-1][1] == scalar - 1:
            found[-1][1] = scalar
        else:
            found.append([scalar, scalar])
    return found


def rest_after(pre_tokenizer):
    everything = "".join(map(chr, SCALARS))
    return {s for _, (start, end) in pre_tokenizer.pre_tokenize_str(everything) for s in SCALARS[start:end]}


def classes():
    """The scalars of each class, found by having the library cut a text of all of them."""
    found = {}
    for name, pattern in [("letter", r"\p{L}+"), ("number", r"\p{N}+"), ("space", r"\s+")]:
        found[name] = set(SCALARS) - rest_after(pre_tokenizers.Split(Regex(pattern), "removed"))
    pieces = pre_tokenizers.Digits(individual_digits=True).pre_tokenize_str("".join(f"\n{chr(s)}\n" for s in SCALARS))
    found["numeric"] = {ord(p) for p, _ in pieces if len(p) == 1 and p != "\n"}
    finder = Tokenizer(models.BPE())
    finder.add_tokens([AddedToken("X", single_word=True, normalized=False)])
    alone = {(start - 1) // 3 for start, _ in finder.encode("".join(f" X{chr(s)}" for s in SCALARS)).offsets}
    found["word"] = {s for i, s in enumerate(SCALARS) if i not in alone}
    return {name: ranges(scalars) for name, scalars in found.items()}


def write(path, rows):
    path.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows), encoding="utf-8")


def row(tokenizer, text):
    ids = tokenizer.encode(text).ids
    bare = tokenizer.encode(text, add_special_tokens=False).ids
    found = {"ids": ids}
    if bare != ids:
        found["bare"] = bare
    for name, skips in [("text", True), ("whole", False)]:
        decoded = tokenizer.decode(ids, skip_special_tokens=skips)
        if decoded != text:
            found[name] = decoded
    return found


def main():
    parser = argparse.ArgumentParser(description="Makes the fixture of Tests/TokenizationTests.")
    parser.add_argument("sources", nargs="+", type=pathlib.Path)
    parser.add_argument("--scripture", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    options = parser.parse_args()

    texts = lines(options.sources)
    write(options.out / "lines.jsonl", texts)
    (options.out / "scalars.json").write_text(json.dumps(classes(), separators=(",", ":")) + "\n")
    made = {"scripture": Tokenizer.from_file(str(options.scripture))}
    for make in [gpt2, llama3, qwen2]:
        file = str(options.out / f"{make.__name__}.json")
        make(texts).save(file, pretty=False)
        made[make.__name__] = Tokenizer.from_file(file)
    for name, tokenizer in made.items():
        write(options.out / f"{name}.jsonl", [row(tokenizer, text) for text in texts])


if __name__ == "__main__":
    main()
