"""Writes docs/fortunes.md from bench/results/fortunes.json. Nothing there is written by hand."""

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULT = HERE / "results" / "fortunes.json"
PAGE = HERE.parent / "docs" / "fortunes.md"

HEAD = """# A pretrained encoder and every method

Made by `bench/fortunes.py`, never edited. all-MiniLM-L6-v2 (6 layers of width 384, 22.7 million parameters) learns to tell the eight
topics of [1,900 quotes](../examples/data/fortunes/README.md) apart, and is judged on 633 others. The head, on the model's own pooler,
is new and trained in full; the adapters stand at the query and value maps of all layers.

```sh
Scripts/minilm                                  # fetches the model, 83 MB
swift build -c release --product peft
python3 -m venv env && env/bin/pip install -r bench/requirements.txt
bench/fortunes.py --peer env/bin/python         # some two hours; stopped, the same command goes on
```
"""


def mean(values):
    return sum(values) / len(values)


def percent(value):
    return f"{100 * value:.1f}"


def good(runs):
    return [run for run in runs or [] if "failed" not in run]


def spread(runs, key="accuracy"):
    """The mean of the seeds, with the lowest and highest where there are several."""
    values = [run[key] for run in runs]
    if len(values) == 1:
        return percent(values[0])
    return f"{percent(mean(values))} ({percent(min(values))} to {percent(max(values))})"


def verdict(r, method):
    """Whether our mean lies where the peer's seeds lie."""
    ours, peer = good(r["ours"].get(method)), good(r["peer"].get(method))
    if not ours:
        return "not measured"
    mine, theirs = mean([run["accuracy"] for run in ours]), [run["accuracy"] for run in peer]
    if mine < min(theirs):
        return f"**no**: our mean is {100 * (min(theirs) - mine):.1f} below PEFT's lowest seed"
    return "yes" if mine <= max(theirs) else f"above: our mean is {100 * (mine - max(theirs)):.1f} over PEFT's highest seed"


def verdicts(r):
    return [f"{method}: our mean within the spread of PEFT's seeds: {verdict(r, method)}" for method in several(r)]


def several(r):
    """What the peer has trained with several seeds."""
    return [method for method, runs in r["peer"].items() if len(good(runs)) > 1]


def cells(*values):
    return "| " + " | ".join(str(value) for value in values) + " |"


def row(name, runs, *more):
    peak = max(run["peak_bytes"] for run in runs) / (1 << 20)
    return cells(name, spread(runs), spread(runs, "macro_f1"), f"{mean([run['loss'] for run in runs]):.4f}", f"{runs[0]['trainable']:,}",
                 f"{peak:,.0f}", *more)


def beside_peer(r):
    out = ["## Beside PEFT", "", cells("", "accuracy, %", "macro-F1, %", "loss", "trained", "peak, MiB", "seeds"),
           cells(*["---"] * 7)]
    for method, peer in r["peer"].items():
        for side, runs in (("ours", good(r["ours"].get(method))), ("PEFT" if method == "lora" else "transformers", good(peer))):
            if runs:
                out.append(row(f"`{method}`, {side}", runs, len(runs)))
    out.append("")
    for method in several(r):
        out.append(f"- `{method}`: is our mean accuracy within the spread of the peer's seeds, lowest to highest? {verdict(r, method)}")
    return out + [""]


def merging(run, runs):
    merged = run.get("merged")
    if not merged:
        return "–"
    if "refused" in merged:
        return "refused: " + merged["refused"].split(": ", 1)[-1].replace("|", "\\|")
    same = merged["accuracy"] == run["accuracy"]
    return ("same accuracy" if same else f"**{percent(merged['accuracy'])} %**") + f", loss {merged['loss'] - run['loss']:+.1e}"


def behind(ours, margin):
    """The methods whose accuracy is more than the margin below LoRA's."""
    lora = good(ours["lora"])
    wanted = mean([run["accuracy"] for run in lora]) - margin if lora else 0
    return [name for name, runs in ours.items() if good(runs) and mean([run["accuracy"] for run in good(runs)]) < wanted]


def all_methods(r):
    out = ["## Every method", "", "Rank 8 where there is one, all else as the entry ships; in parentheses the range of the seeds. The rate is "
           f"five times what the entry proposes for models of billions of weights. Methods that are then more than {100 * r['behind']:.0f} % of "
           "the rows behind LoRA were run with the entry's own rate and with 25 times that as well, and have a row for each. None of these "
           "rates was looked for further, and the evaluation rows chose none of them: all are here. Merged: of seed 0.", "",
           cells("method", "accuracy, %", "macro-F1, %", "loss", "trained", "peak, MiB", "rate", "merged, by itself"),
           cells(*["---"] * 8)]
    rows = [(name, runs, r["rates"][name]) for name, runs in r["ours"].items()]
    rows += [(other["method"], [other["run"]], r["rates"][other["method"]] * other["factor"]) for other in r.get("others", [])]
    for method, runs, rate in sorted(rows, key=lambda entry: -mean([run["accuracy"] for run in good(entry[1])] or [0])):
        if not good(runs):
            out.append(cells(f"`{method}`", runs[0]["failed"].replace("|", "\\|"), *[""] * 4, f"{rate:g}", ""))
            continue
        runs = good(runs)
        name = f"`{method}`" + (" on 4 bits" if runs[0].get("quantized") else "")
        out.append(row(name, runs, f"{rate:g}", merging(runs[0], runs)))
    return out + [""]


def across(r):
    if not r.get("across"):
        return []
    out = ["## Each other's files", "", cells("LoRA of seed 0", "accuracy, %", "macro-F1, %", "loss", "by its own side"),
           cells(*["---"] * 5)]
    for name, found in r["across"].items():
        own = good((r["peer"] if name.startswith("PEFT") else r["ours"])["lora"])[0]
        if "failed" in found:
            out.append(cells(name, found["failed"].replace("|", "\\|"), "", "", ""))
            continue
        out.append(cells(name, percent(found["accuracy"]), percent(found["macro_f1"]), f"{found['loss']:.6f}",
                         f"{percent(own['accuracy'])} %, loss {own['loss']:.6f}"))
    return out + [""]


def circumstances(r):
    b = r["budget"]
    peer = "; " + ", ".join(f"{key} {value}" for key, value in r["versions"].items()) if r["versions"] else ""
    return ["", f"{b['epochs']} epochs in batches of {b['batch']}, texts cut at {b['length']} tokens, AdamW, the rate straight down to 0, "
            f"gradients held to a norm of 1, dropout as the model's config says. LoRA: rank {b['rank']}, alpha {b['alpha']}, rate "
            f"{r['rates']['lora']:g}; full fine-tuning: {r['rates']['full']:g}.", "",
            f"{r['date']}, revision {r['revision']}; {r['processor']}, {r['threads']} threads{peer}.", ""]


def update():
    r = json.loads(RESULT.read_text())
    PAGE.write_text("\n".join([HEAD.rstrip(), *circumstances(r), *beside_peer(r), *all_methods(r), *across(r)]).rstrip() + "\n")
