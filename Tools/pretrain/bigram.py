#!/usr/bin/env python3
"""The smoothed bigram that the embedded model has to beat, on the very tokens that `peft` learns and evaluates.

  bigram.py --tokenizer models/scripture/tokenizer.json --train A.jsonl [B.jsonl …] --eval FILE [FILE …]

Files are read as `peft` reads training data: JSON rows of `prompt` and `completion`, or of `text`; or plain text, one
example a line. An example is the prompt with a newline, its completion, and the end-of-text token; the first token is
never predicted. Prints the mean loss (nats a token) over all predicted tokens, and over completions and end alone.

Three smoothings, each with its constants tuned on every tenth training example left out of its counts; then the counts
are taken over all training examples, and the evaluation text is seen for the first time:

  jelinek-mercer       λ·c(a,b)/c(a) + (1 − λ)·p(b), with λ by how often a was seen
  witten-bell          (c(a,b) + m·n(a)·p(b)) / (c(a) + m·n(a)), with n(a) the kinds of token seen after a
  kneser-ney           max(c(a,b) − d, 0)/c(a) + d·n(a)/c(a)·q(b), with q(b) the share of kinds that b follows, d by count

p is the unigram with one added to every count; q is mixed with it, so that no token has probability 0.
Needs the `tokenizers` package.
"""

import argparse
import json
import math
from collections import Counter, defaultdict

from tokenizers import Tokenizer


def read(path):
    """Pairs of prompt and completion."""
    with open(path, encoding="utf-8", newline="\n") as file:
        for line in file:
            line = line.rstrip("\r\n")
            if not path.endswith(".jsonl"):
                if line:
                    yield "", line
                continue
            row = json.loads(line)
            yield (row["prompt"], row["completion"]) if "prompt" in row else ("", row["text"])


def encode(tokenizer, end, path, limit):
    """Pairs of ids and the index from which they are completion."""
    examples = []
    for prompt, completion in read(path):
        before = tokenizer.encode(prompt + "\n", add_special_tokens=False).ids if prompt else []
        after = tokenizer.encode(completion, add_special_tokens=False).ids
        examples.append(((before + after + [end])[:limit], len(before)))
    return examples


def pairs(examples, completions_only=False):
    for ids, border in examples:
        for t in range(1, len(ids)):
            if t >= border or not completions_only:
                yield ids[t - 1], ids[t]


class Counts:
    """What all smoothings share: counts of tokens, of pairs, and of the kinds that follow and precede."""

    def __init__(self, examples, vocabulary):
        self.pair = Counter(pairs(examples))
        self.first, self.after, self.before = Counter(), Counter(), Counter()
        tokens = Counter()
        for (a, b), n in self.pair.items():
            self.first[a] += n
            self.after[a] += 1
            self.before[b] += 1
            tokens[b] += n
        total = sum(tokens.values())
        self.unigram = [(tokens[b] + 1) / (total + vocabulary) for b in range(vocabulary)]


class JelinekMercer:
    name = "jelinek-mercer"
    grid = [None]

    def __init__(self, counts, weights):
        self.c, self.weights = counts, weights or defaultdict(lambda: 0.5)

    @staticmethod
    def bucket(n):
        return n.bit_length()

    def probability(self, a, b):
        c, p = self.c, self.c.unigram[b]
        n = c.first[a]
        if n == 0:
            return p
        weight = self.weights[self.bucket(n)]
        return weight * c.pair[a, b] / n + (1 - weight) * p

    @classmethod
    def tune(cls, counts, held_out, vocabulary):
        """Expectation maximisation of one weight for each power of two of c(a)."""
        weights = {k: 0.5 for k in range(64)}
        seen = Counter(pairs(held_out))
        for _ in range(30):
            share, total = Counter(), Counter()
            for (a, b), n in seen.items():
                if counts.first[a] == 0:
                    continue
                k = cls.bucket(counts.first[a])
                high = weights[k] * counts.pair[a, b] / counts.first[a]
                share[k] += n * high / (high + (1 - weights[k]) * counts.unigram[b])
                total[k] += n
            weights.update({k: min(share[k] / total[k], 0.999) for k in total})
        return weights


def best(cls, counts, held_out, grid):
    return min(grid, key=lambda constant: loss(cls(counts, constant), pairs(held_out))[0])


class WittenBell:
    name = "witten-bell"

    def __init__(self, counts, strength):
        self.c, self.strength = counts, strength

    def probability(self, a, b):
        c, p = self.c, self.c.unigram[b]
        if c.first[a] == 0:
            return p
        mass = self.strength * c.after[a]
        return (c.pair[a, b] + mass * p) / (c.first[a] + mass)

    @classmethod
    def tune(cls, counts, held_out, vocabulary):
        return best(cls, counts, held_out, [0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4])


class KneserNey:
    """Modified Kneser-Ney: three discounts from the counts of counts."""

    name = "kneser-ney"

    def __init__(self, counts, mix):
        self.c = counts
        kinds = Counter(counts.pair.values())
        n1, n2, n3, n4 = (max(kinds[i], 1) for i in (1, 2, 3, 4))
        y = n1 / (n1 + 2 * n2)
        self.discount = [0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
        self.taken = Counter()
        for (a, _), n in counts.pair.items():
            self.taken[a] += self.discount[min(n, 3)]
        total = sum(counts.before.values())
        self.lower = [
            (1 - mix) * counts.before[b] / total + mix * counts.unigram[b] for b in range(len(counts.unigram))
        ]

    def probability(self, a, b):
        c, n = self.c, self.c.first[a]
        if n == 0:
            return self.lower[b]
        count = c.pair[a, b]
        return (count - self.discount[min(count, 3)] + self.taken[a] * self.lower[b]) / n

    @classmethod
    def tune(cls, counts, held_out, vocabulary):
        return best(cls, counts, held_out, [0.01, 0.03, 0.1, 0.3, 0.6, 1])


def loss(model, tokens):
    total, count = 0.0, 0
    for (a, b), n in Counter(tokens).items():
        total -= n * math.log(model.probability(a, b))
        count += n
    return total / count, count


def main():
    parser = argparse.ArgumentParser(description="Mean loss of smoothed bigram models.")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--train", nargs="+", required=True)
    parser.add_argument("--eval", nargs="+", required=True)
    parser.add_argument("--end-of-text", default="<|endoftext|>")
    parser.add_argument("--max-seq-len", type=int, default=None, help="examples are cut to that many tokens, as in a run file")
    options = parser.parse_args()

    tokenizer = Tokenizer.from_file(options.tokenizer)
    end, vocabulary = tokenizer.token_to_id(options.end_of_text), tokenizer.get_vocab_size()
    train = [e for path in options.train for e in encode(tokenizer, end, path, options.max_seq_len)]
    kept = Counts([e for i, e in enumerate(train) if i % 10 != 9], vocabulary)
    held_out = train[9::10]
    every = Counts(train, vocabulary)
    tests = {path: encode(tokenizer, end, path, options.max_seq_len) for path in options.eval}
    print(f"trained on {' + '.join(options.train)}: {sum(every.first.values())} pairs of tokens")
    for cls in [JelinekMercer, WittenBell, KneserNey]:
        constants = cls.tune(kept, held_out, vocabulary)
        model = cls(every, constants)
        note = "" if cls is JelinekMercer else f" (constant {constants})"
        worst = max(abs(sum(model.probability(a, b) for b in range(vocabulary)) - 1) for a in range(0, vocabulary, 97))
        assert worst < 1e-9, f"{cls.name} is no distribution: off by {worst}"
        for path, examples in tests.items():
            (everything, n), (learned, m) = loss(model, pairs(examples)), loss(model, pairs(examples, True))
            print(
                f"{cls.name:15} {path}: {everything:.4f} over {n} tokens; completions {learned:.4f} over {m} tokens{note}")


if __name__ == "__main__":
    main()
