"""The texts: lines written for the purpose, lines of the sources, and what chance makes of both."""

import json
import random

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
