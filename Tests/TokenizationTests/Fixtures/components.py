"""Normalizers, pre-tokenizers and decoders one by one, and the tokens that decoders are tried on."""

import json
import random

from tokenizers import Tokenizer, models

from digests import digest
from families import CLIP, LLAMA3, QWEN2

NORMALIZERS = [
    {"type": form} for form in ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel"]
] + [
    {"type": "Strip", "strip_left": left, "strip_right": right} for left in [True, False] for right in [True, False]
] + [
    {"type": "BertNormalizer", "clean_text": clean, "handle_chinese_chars": chinese, "strip_accents": accents, "lowercase": lower}
    for clean in [True, False] for chinese in [True, False] for accents in [None, True, False] for lower in [True, False]
] + [
    {"type": "Prepend", "prepend": "\u2581"},
    {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
    {"type": "Replace", "pattern": {"String": "``"}, "content": "\""},
    {"type": "Replace", "pattern": {"String": "aa"}, "content": "a"},
    {"type": "Sequence", "normalizers": [{"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"}]},
] + [
    {"type": "Replace", "pattern": {"Regex": regex}, "content": content}
    for regex, content in [
        (r"\s+", " "), (r" {2,}", "\u2581"), (r"[\n\r\t]|\s{2,}", " "), (r"\p{M}", ""), (r"^\s|\s$", "_"), (r"x*", "-"), (r"(?<=a)b|(?<!a)c", "#"),
        (r"\bthe\b", "THE"), (r"[^\w\s]", "."), (r"\d+(?=\D)", "9"), (r"(?i)caf\u00e9|word", "W"), (r"[a-fA-F0-9&&[^b-e]]+", "!"),
    ]
]

BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]

# The patterns of well-known files, and then what a general engine has to get right.
PATTERNS = [
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", LLAMA3, QWEN2, CLIP,
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
    r" ?[^(\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+", r"[0-9][0-9][0-9]", r"[\r\n]", r"\s+$", r"[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+", r"\s?\p{L}+", r"\d{1,3}(?=(?:\d{3})*\b)", r"(?=\p{Lu})", r"a*b|a", r"(a|ab)(c|bcd)?", r"(?:x+x+)+y",
    r"\w+|[^\w\s]+", r"\W", r"\D+?\d", r"^.", r".$", r"\A.|.\z", r"(?>a+)b|a", r"[^a-z]{2,4}?", r"\P{L}+", r"[\p{^L}x]", r"[[:alpha:]]+", r"\x41|\u00e9|\t", r"(?m:a.b)|(?-m:b.a)", r".+",
    r"\S+", r"\h+", r"\R", r"\p{Punct}", r"\p{Alpha}+", r"(?i)[k-t]+", r"the{2}", r"o{,2}", r"(?<name>ab)+",
]

PRE_TOKENIZERS = [
    {"type": kind} for kind in ["Whitespace", "WhitespaceSplit", "BertPreTokenizer"]
] + [
    {"type": "Digits", "individual_digits": value} for value in [True, False]
] + [
    {"type": "Punctuation", "behavior": behavior} for behavior in BEHAVIORS
] + [
    {"type": "CharDelimiterSplit", "delimiter": "e"}, {"type": "FixedLength", "length": 3},
] + [
    {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": split} for scheme in ["first", "always", "never"] for split in [True, False]
] + [
    {"type": "ByteLevel", "add_prefix_space": space, "trim_offsets": True, "use_regex": regex} for space in [True, False] for regex in [True, False]
] + [
    {"type": "Split", "pattern": {"String": string}, "behavior": behavior, "invert": invert}
    for string in [" ", "aa", "\n"] for behavior in BEHAVIORS for invert in [False, True]
] + [
    {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert}
    for regex in [r"\s+", r"\p{N}", r"x*", PATTERNS[3]] for behavior in BEHAVIORS for invert in [False, True]
] + [
    {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False} for regex in PATTERNS
] + [
    {"type": "Sequence", "pretokenizers": steps}
    for steps in [
        [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": True}],
        [{"type": "Punctuation", "behavior": "Contiguous"}, {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}, {"type": "Digits", "individual_digits": False}],
        [{"type": "Whitespace"}, {"type": "Digits", "individual_digits": True}, {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always", "split": False}],
    ]
]

DECODERS = [
    {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}, {"type": "Fuse"}, {"type": "ByteFallback"},
    {"type": "WordPiece", "prefix": "##", "cleanup": True}, {"type": "WordPiece", "prefix": "##", "cleanup": False},
    {"type": "BPEDecoder", "suffix": "</w>"}, {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
    {"type": "Replace", "pattern": {"Regex": "[a-e]+"}, "content": "*"},
] + [
    {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": True} for scheme in ["first", "always", "never"]
] + [
    {"type": "Strip", "content": content, "start": start, "stop": stop} for content in [" ", "a"] for start, stop in [(0, 0), (1, 0), (3, 0), (0, 1)]
] + [
    {"type": "Sequence", "decoders": steps}
    for steps in [
        [], [{"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Replace", "pattern": {"String": "the"}, "content": "THE"}],
        [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}],
        [{"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}, {"type": "WordPiece", "prefix": "##", "cleanup": True}],
        [{"type": "Fuse"}, {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}, {"type": "Strip", "content": "e", "start": 1, "stop": 0}],
        [{"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}, {"type": "BPEDecoder", "suffix": "</w>"}],
    ]
]

PIECES = [
    "\u2581", "\u2581\u2581", "\u2581the", "the", "##ing", "##", "a", "aaa", "aab", " a ", "abc</w>", "</w>", "x</w>y", ".", " .", "?", "n't", " n't", "'", " ' ", "'s", " do", " not", "do not", "'ve",
    "<0xE2>", "<0x82>", "<0xAC>", "<0x61>", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "<0x+1>", "<0xZZ>", "<0x6>", "\u0120the", "\u00c3", "\u00a9", "\u0120", "\u00e2", "\u0124", "\u010a", "caf\u00e9", "\u20ac",
    "\U0001f600", "\u4e2d", "!", "!!", ",", "\u2581,", "<s>", "eee", "e",
]


def token_lists():
    choose = random.Random(11)
    return [choose.choices(PIECES, k=choose.randrange(1, 12)) for _ in range(400)]


def component(kind, value, run, items):
    chunks = [items[i : i + 50] for i in range(0, len(items), 50)]
    return {"kind": kind, "value": value, "digests": [digest("\n".join(run(item) for item in chunk)) for chunk in chunks]}


def holder(key, value):
    document = json.loads(Tokenizer(models.BPE()).to_str())
    document[key] = value
    return getattr(Tokenizer.from_str(json.dumps(document)), key)


def components(texts):
    for value in NORMALIZERS:
        yield component("normalizer", value, holder("normalizer", value).normalize_str, texts)
    for value in PRE_TOKENIZERS:
        cut = holder("pre_tokenizer", value).pre_tokenize_str
        yield component("pre_tokenizer", value, lambda text: "\x1f".join(piece for piece, _ in cut(text)), texts)
    for value in DECODERS:
        yield component("decoder", value, holder("decoder", value).decode, token_lists())
