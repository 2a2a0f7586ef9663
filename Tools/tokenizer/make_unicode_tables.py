"""Makes Sources/Tokenization/UnicodeTables.generated.swift: what the `tokenizers` library knows of Unicode.

    python Tools/tokenizer/make_unicode_tables.py > Sources/Tokenization/UnicodeTables.generated.swift

The library's parts were built against different versions of Unicode (its expressions against 16, its normal
forms against 9, its marks and punctuation against 8 or 9, its lower case against the newest). So the tables are read off the library itself, scalar
by scalar; Python's `unicodedata` only says how a decomposition is put together and which combining class to try.

Made with `tokenizers` 0.23.3 under Python 3.11 (Unicode 14, newer than every table but lower case).

Numbers are written in base 36. A range is `gap,length`, a gap being the distance from the end of the one before.
"""

import unicodedata

from tokenizers import Regex, normalizers, pre_tokenizers

SCALARS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
NFC, NFD, NFKC, NFKD = (getattr(normalizers, name)().normalize_str for name in ["NFC", "NFD", "NFKC", "NFKD"])


def base36(number):
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
        if not number:
            return digits


def ranges(scalars):
    found = []
    for scalar in sorted(scalars):
        if found and found[-1][1] == scalar:
            found[-1][1] = scalar + 1
        else:
            found.append([scalar, scalar + 1])
    return found


def packed(scalars):
    words, end = [], 0
    for start, stop in ranges(scalars):
        words.append(f"{base36(start - end)},{base36(stop - start)}")
        end = stop
    return words


def vanish(normalizer):
    return {c for c in SCALARS if normalizer.normalize_str(f"a{chr(c)}b") == "ab"}


def matching(pattern):
    """The scalars that the library's regular expressions take for a class."""
    everything = "".join(map(chr, SCALARS))
    rest = pre_tokenizers.Split(Regex(pattern), "removed").pre_tokenize_str(everything)
    return set(SCALARS) - {c for _, (start, end) in rest for c in SCALARS[start:end]}


def bert(**options):
    chosen = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**(chosen | options))


def combining_classes():
    """The scalars that the library moves, by class: each is tried beside a mark of another class."""
    found = {}
    for c in SCALARS:
        kind = unicodedata.combining(chr(c))
        # U+0334 has class 1, U+0345 class 240; both are as old as can be.
        if kind > 1 and NFD(chr(c) + "\u0334") != NFD(chr(c)) + "\u0334" or kind == 1 and NFD("\u0345" + chr(c))[0] == chr(c):
            found.setdefault(kind, set()).add(c)
    return found


def decompositions():
    """Each step of a decomposition: `scalars`, a `~` before a compatible one, a `!` before one never composed again."""
    found = {}
    for c in SCALARS:
        if 0xAC00 <= c < 0xD7A4 or NFKD(chr(c)) == chr(c):
            continue
        parts = unicodedata.decomposition(chr(c)).split()
        compatible = parts[0].startswith("<")
        parts = [int(part, 16) for part in parts if not part.startswith("<")]
        mark = "~" if compatible else "" if NFC(NFD(chr(c))) == chr(c) else "!"
        found[c] = (mark, parts)
    return found


def steps(found):
    words, end, items = [], 0, sorted(found.items())
    while items:
        c, (mark, parts) = items[0]
        count = 1
        # Alphabets in other styles: one scalar each, in order.
        while len(parts) == 1 and count < len(items) and items[count] == (c + count, (mark, [parts[0] + count])):
            count += 1
        run = f"{base36(count)}*" if count > 1 else ""
        words.append(f"{base36(c - end)},{mark}{run}{'.'.join(map(base36, parts))}")
        end, items = c + count, items[count:]
    return words


def lower_cases():
    """Runs of `gap,count,step,first`: every `step`-th scalar from `gap` on has a lower case of one scalar."""
    lower = normalizers.Lowercase().normalize_str
    found = {c: ord(lower(chr(c))) for c in SCALARS if lower(chr(c)) != chr(c) and len(lower(chr(c))) == 1}
    assert [c for c in SCALARS if len(lower(chr(c))) > 1] == [0x130]
    words, end, items = [], 0, sorted(found.items())
    while items:
        start, first = items[0]
        best = (1, 1)
        for step in [1, 2]:
            count = 1
            while count < len(items) and items[count] == (start + count * step, first + count * step):
                count += 1
            best = max(best, (count, step))
        count, step = best
        words.append(f"{base36(start - end)},{base36(count)},{base36(step)},{base36(first)}")
        end, items = start + (count - 1) * step + 1, items[count:]
    return words


def literal(name, comment, words):
    lines, line = [], ""
    for word in words:
        if line and len(line) + len(word) > 118:
            lines.append(line)
            line = ""
        line += word + " "
    lines.append(line)
    print(f'\n  /// {comment}\n  static let {name} = """')
    for line in lines:
        print(f"    {line.strip()}")
    print('    """')


def main():
    print("// Made by Tools/tokenizer/make_unicode_tables.py; not edited by hand.\n")
    print("/// What the `tokenizers` library knows of Unicode, in the form that its maker describes.")
    print("enum PackedUnicode {", end="")
    literal("letters", "`\\p{L}` of the library's regular expressions.", packed(matching(r"\p{L}+")))
    literal("numbers", "`\\p{N}` of the library's regular expressions.", packed(matching(r"\p{N}+")))
    control = vanish(bert(clean_text=True)) | {ord(c) for c in "\0"}
    literal("controls", "What BERT's cleaning removes.", packed(control))
    literal("nonspacingMarks", "What BERT's stripping of accents removes.", packed(vanish(bert(strip_accents=True))))
    literal("marks", "What `StripAccents` removes.", packed(vanish(normalizers.StripAccents())))
    cut = pre_tokenizers.Punctuation("removed").pre_tokenize_str
    punctuation = {c for c in SCALARS if len(cut(f"a{chr(c)}b")) == 2}
    literal("punctuation", "What `Punctuation` and BERT cut at.", packed(punctuation))
    classes = combining_classes()
    found = [f"{base36(kind)}:" + ";".join(packed(classes[kind])) for kind in sorted(classes)]
    literal("combiningClasses", "`class:range;range…`", found)
    literal("decompositions", "`gap,parts` or `gap,count*first`, `~` where compatible, `!` where never composed.", steps(decompositions()))
    literal("lowerCases", "`gap,count,step,first`", lower_cases())
    print("}")


if __name__ == "__main__":
    main()
