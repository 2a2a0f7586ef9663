"""What the library takes single scalars for: their classes, and their normal forms."""

import random
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from digests import digest
from texts import SCALARS


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
