"""Makes the fixtures of this folder: what the `tokenizers` library gives, for the tests to compare with.

    python make.py --scripture ../../../models/scripture/tokenizer.json kjv.txt fortunes.jsonl gsm8k.jsonl
    python make.py --show llama2 17            # what the library gives for line 17 (from 1) of lines.jsonl
    python make.py --rows tokenizer.json       # digests for any other tokenizer

Writes `lines.jsonl` (the texts), and for every family `NAME.json` (the tokenizer; `scripture` is read from where it
lives) and `NAME.txt`, a row of three digests for every text: of its ids with and without special tokens, of what they
decode to without special tokens and with them, and of its encoding together with the next text, cut and padded. The
lists themselves would be megabytes. A digest is FNV-1a of 64 bits, in base 36.

`components.jsonl` holds normalizers, pre-tokenizers and decoders one by one with digests of what they give for 50
texts each; `normal_forms.json` digests of the normal forms and the lower case of all scalars, 4096 at a time;
`scalars.json` the ranges of the classes that the library's regular expressions know.

Made with `tokenizers` 0.23.3. Tokenizers that are there are kept, because the library's trainers break ties as it
happens; all else is the same for a given version of it.
"""

import argparse
import json
import pathlib
import random
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).resolve().parent

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
CLIP = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"

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
    "\u202eright to left override\u202c \u200fRLM \u200eLRM", "\u05d0\u05d1\u05d2 123 \u05d3\u05d4 (abc) \u05d5", "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645\u060c \u0664\u0662\u061f",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f England", "\U0001f469\U0001f3fe\u200d\U0001f4bb codes \U0001f468\u200d\u2764\ufe0f\u200d\U0001f48b\u200d\U0001f468", "\U0001f1e9\U0001f1ea\U0001f1ea\U0001f1f8\U0001f1f5", "\u263a \u263a\ufe0f \u263a\ufe0e",
    "\u1e9b\u0323 \ufb03 \u2075 \u00bc \ufdfa \u3392 \uff21\uff42\uff43 \U0001d504\U0001d518", "\u0130stanbul I\u0131i\u0130 \u01c4\u01c5\u01c6 \u03a3\u03c3\u03c2 \u1e9e\u00df", "z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324\u031ea\u0349\u034d\u0331\u031fl\u0317\u0316g\u0355\u0356o",
    "``quoted'' `` '' ` '", "x*y aab aaab ac bc cab", "abc abcd abcabc abbcd", "the quick, brown fox; the theme: bathe", "it is , he said . do not ! I 'm n't you 've they 're it 's ' ok ' ?",
    "<s>", "</s>", "<s> hello </s>", "a<s>b</s>c", "[INST] hi [/INST] there", " [INST]x[/INST] y", "[CLS] a [SEP] b [MASK] [PAD] [UNK]", "[mask]", "<bos><eos><pad><unk>", "<unk> unk", "<0x41><0xE2>", "\u2581\u2581 \u2581a \u2581", "a\n\n\n\n\nb\n\n \n", "   \n\n   x\n",
    "\U0001f600\u2581\U0001f600 \U00012345\U00012345x\U00012345", "word Word WORD wOrD", "caf\u00e9 CAF\u00c9 CAFE\u0301 Cafe\u0301s", "naive-na\u00efve co\u00f6perate re\u0301sume\u0301", "<|startoftext|>a photo of a cat<|endoftext|>", "A PHOTO of\u00a0a\u2003CAT\u3000!!", "hello!!?!? :-) ;) <3 ^_^ \u00af\\_(\u30c4)_/\u00af",
    "\u5317\u4eac\u5e02 Beijing\u5317\u4eac \ufa0e \U0002b740 \U0002f800", "\u30ab\u30bf\u30ab\u30ca \u3072\u3089\u304c\u306a \uff76\uff9e \ud55c\uae00", "\u0e01\u0e33 \u0e40\u0e01\u0e34\u0e14 \u0f40\u0f74 \u1780\u17d2\u1798", "\u00a0\u00a0a\u00a0", "\u00adab\u00ad", "a\u0000\ufffd\u0007\u0085b\u2028c", "\u200d\u200d", "\ufeffBOM",
    "print(f\"{x!r:>10}\")\t# caf\u00e9\n\tpass", "#include <stdio.h>\r\nint main(void)\r\n{\r\n\treturn 0;\r\n}\r\n", "let \u03c0 = 3.14159 as f64; // \u03c0\u00b2 \u2248 9.87", "SELECT 1;--x\n/* y */", "a=b==c!=d<=e>=f&&g||h??i?.j::k->l=>m", "0x1F 0b1010 1e-9 1_000_000 .5 5. 0777",
    "\u4e2d" * 120, "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 30, "na\u00efve" * 50, "\u0623" * 90, "a\u0301" * 60, "\t" * 70, "-" * 130, "ab " * 90, "\u2581" * 40, "\u00df" * 50, "7" * 101 + "x", "Z" * 99, "z" * 100, "z" * 101,
]

PARTS = [
    " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\x85", "\u2009", "'s", "'S", "'LL", "'re", "'", "the", "The", " a", "b", "Z", "\u00e9", "e\u0301", "\u00df", "1", "23",
    "4567", "\u0663", "\u00bd", ".", ",", "!", " ?", "--", "/", "\U0001f600", "\u200d", "\ufe0f", "\u4e2d", "\u3042", "\u0928\u0947", "\u064e", "\u0301", "\x00", "\x1f",
    "<|endoftext|>", "<mask>", "<right>", "<both>", "WORD", "<a>", "<ab>", "Caf\u00e9", "Cafe\u0301", "_", "\U00020000", "\u1112\u1161\u11ab", "<s>", "</s>", "[INST]", "[MASK]", "\u2581", "``", "\u0130", "\U0001f468\u200d\U0001f469", "\U0001f1e9\U0001f1ea", "\u05d0\u05d1", "\u202e", "\u00c9", "\u1e69", "\ufb01", "\u2075", "caf", "n't", "ing", "x=1;", "aa", "\n\n", "    ",
]


SCALARS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]

# Scripts, symbols and their edges, a scalar at a time: what lines of random scalars hardly ever hit.
BLOCKS = [
    (0x20, 0x7F), (0xA0, 0x17F), (0x300, 0x370), (0x370, 0x400), (0x400, 0x460), (0x590, 0x600), (0x600, 0x700), (0x900, 0x980), (0xE00, 0xE60),
    (0x1100, 0x1200), (0x1E00, 0x1F00), (0x2000, 0x2070), (0x2100, 0x2190), (0x2460, 0x2500), (0x3040, 0x3100), (0x3300, 0x3400), (0x4E00, 0x4E80),
    (0xAC00, 0xAC80), (0xFB00, 0xFB50), (0xFE00, 0xFE10), (0xFF00, 0xFFF0), (0x1D400, 0x1D500), (0x1F1E6, 0x1F200), (0x1F300, 0x1F650), (0x1F3FB, 0x1F400),
]


def digest(text):
    value = 0xCBF29CE484222325
    for byte in text.encode("utf-8"):
        value = (value ^ byte) * 0x100000001B3 % 2**64
    digits = ""
    while True:
        value, rest = divmod(value, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
        if not value:
            return digits


def listed(numbers):
    return ",".join(map(str, numbers))


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
        texts += [t[:300] for t in choose.sample(list(strings(source)), 180)]
    # Cut code points at random too: starts and ends inside words, blanks and clusters.
    for _ in range(300):
        text = choose.choice(texts)
        start = choose.randrange(len(text) + 1)
        texts.append(text[start : start + choose.randrange(1, 60)])
    for _ in range(760):
        texts.append("".join(choose.choices(PARTS, k=choose.randrange(1, 16))))
    for _ in range(260):
        blocks = choose.choices(BLOCKS, k=3)
        texts.append("".join(chr(choose.randrange(*choose.choice(blocks))) for _ in range(choose.randrange(1, 24))))
    for _ in range(80):
        texts.append("".join(chr(choose.choice(SCALARS)) for _ in range(24)))
    return texts


def lessons(texts):
    """What vocabularies are learned from: not the lines of random scalars, which teach nothing."""
    return texts[:-340]


def train(tokenizer, texts, special, size=1000, **options):
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False, **options
    )
    tokenizer.train_from_iterator(lessons(texts), trainer)
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


def roberta(texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, texts, ["<s>", "<pad>", "</s>", "<unk>"], size=600)
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
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


def clip(texts):
    tokenizer = Tokenizer(models.BPE(unk_token="<|endoftext|>", continuing_subword_prefix="", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(CLIP), behavior="removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, texts, ["<|startoftext|>", "<|endoftext|>"], size=1400, end_of_word_suffix="</w>")
    tokenizer.post_processor = processors.RobertaProcessing(
        ("<|endoftext|>", 1), ("<|startoftext|>", 0), add_prefix_space=False, trim_offsets=False
    )
    return tokenizer


def bert(texts, **options):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(**options)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=1500, special_tokens=special, limit_alphabet=300, show_progress=False)
    tokenizer.train_from_iterator(lessons(texts), trainer)
    return tokenizer


def bert_uncased(texts):
    tokenizer = bert(texts, clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_tokens([AddedToken("WORD", single_word=True), AddedToken("Caf\u00e9", normalized=True)])
    return tokenizer


def bert_cased(texts):
    tokenizer = bert(texts, clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=False)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def sentence_piece(texts, first, alphabet=120, size=900):
    """A vocabulary in the manner of SentencePiece: control tokens, bytes, pieces."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    trainer = trainers.BpeTrainer(vocab_size=size, limit_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(lessons(texts), trainer)
    learned = json.loads(tokenizer.to_str())["model"]
    tokens = first + [f"<0x{byte:02X}>" for byte in range(256)]
    tokens += [t for t, _ in sorted(learned["vocab"].items(), key=lambda item: item[1]) if t not in tokens]
    model = models.BPE(
        vocab={token: i for i, token in enumerate(tokens)}, merges=[tuple(m) for m in learned["merges"]],
        unk_token="<unk>", fuse_unk=True, byte_fallback=True,
    )
    return Tokenizer(model)


LLAMA_DECODER = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]


def llama2(texts):
    tokenizer = sentence_piece(texts, ["<unk>", "<s>", "</s>"])
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence(LLAMA_DECODER + [decoders.Strip(content=" ", left=1, right=0)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in ["<unk>", "<s>", "</s>"]])
    tokenizer.add_tokens([AddedToken("WORD", normalized=True), AddedToken("<right>", rstrip=True, normalized=False)])
    return tokenizer


def mistral(texts):
    tokenizer = sentence_piece(texts, ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(LLAMA_DECODER + [decoders.Strip(content=" ", left=1, right=0)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> <s>:1 $B:1 </s>:1", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    named = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "<mask>", "<both>"]
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True, lstrip=t == "<both>") for t in named])
    return tokenizer


def gemma(texts):
    tokenizer = sentence_piece(texts, ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "\n", "\n\n", "\n\n\n", "\u2581\u2581", "\u2581\u2581\u2581"], alphabet=200)
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", behavior="merged_with_previous", invert=False)
    tokenizer.decoder = decoders.Sequence(LLAMA_DECODER)
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", pair="<bos> $A <bos>:1 $B:1", special_tokens=[("<bos>", 2)])
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in ["\n", "\n\n", "\n\n\n", "\u2581\u2581", "\u2581\u2581\u2581"]])
    return tokenizer


FAMILIES = [gpt2, roberta, llama3, qwen2, clip, bert_uncased, bert_cased, llama2, mistral, gemma]

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


def normal_forms():
    """Digests of the scalars of every block, each between letters, and of marks in every order."""
    found = {}
    choose = random.Random(3)
    marks = [c for c in SCALARS if unicodedata.combining(chr(c))] + [0x1161, 0x1175, 0x11A8, 0x11C2, 0x11A7, 0x3099]
    bases = [0x41, 0x61, 0xE9, 0x1E69, 0x1100, 0xAC00, 0xAC01, 0x304B, 0x915, 0x958, 0x20, 0x4E2D]
    mixed = ["".join(chr(choose.choice(choose.choice([marks, bases]))) for _ in range(8)) for _ in range(500)]
    for name in ["NFC", "NFD", "NFKC", "NFKD", "Lowercase"]:
        normalize = getattr(normalizers, name)().normalize_str
        blocks = [[c for c in range(start, start + 4096) if not 0xD800 <= c < 0xE000] for start in range(0, 0x110000, 4096)]
        found[name] = [digest("\n".join(normalize(f"a{chr(c)}b") for c in block)) for block in blocks]
        found[name].append(digest("\n".join(map(normalize, mixed))))
    return {"mixed": mixed, **found}


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
    named = {name: rf"\p{{{name}}}+" for name in ["Lu", "Ll", "Lt", "Lm", "Lo", "M", "P", "S", "Z", "Cc", "Cf"]}
    named |= {"letter": r"\p{L}+", "number": r"\p{N}+", "space": r"\s+", "patternWord": r"\w+", "digit": r"\d+"}
    for name, pattern in named.items():
        found[name] = set(SCALARS) - rest_after(pre_tokenizers.Split(Regex(pattern), "removed"))
    pieces = pre_tokenizers.Digits(individual_digits=True).pre_tokenize_str("".join(f"\n{chr(s)}\n" for s in SCALARS))
    found["numeric"] = {ord(p) for p, _ in pieces if len(p) == 1 and p != "\n"}
    finder = Tokenizer(models.BPE())
    finder.add_tokens([AddedToken("X", single_word=True, normalized=False)])
    alone = {(start - 1) // 3 for start, _ in finder.encode("".join(f" X{chr(s)}" for s in SCALARS)).offsets}
    found["word"] = {s for i, s in enumerate(SCALARS) if i not in alone}
    return {name: ranges(scalars) for name, scalars in found.items()}


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
