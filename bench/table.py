#!/usr/bin/env python3
"""Writes the tables of BENCHMARKS.md from bench/results, between its two markers. Nothing there is written by hand."""

import json
from pathlib import Path

import rows

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "BENCHMARKS.md"
BEGIN, END = "<!-- results: bench/table.py writes what follows -->", "<!-- end of results -->"


def mib(count):
    return f"{count / (1 << 20):,.0f} MiB"


def met(value, goal, below=False):
    """A number with its goal, and whether it is reached."""
    if goal is None:
        return ""
    return f" ({'≤' if below else '≥'} {goal:g}: {'yes' if (value <= goal if below else value >= goal) else '**no**'})"


def lines(row, r):
    """A row's result for the terminal."""
    if row in rows.STEPS:
        settings = rows.STEPS[row]
        o, p = r["ours"], r["peer"]
        said = [
            f"ours {o['tokens_per_second']:,.0f} tokens/s, PEFT {p['tokens_per_second']:,.0f}: {r['ratio']:.2f}x{met(r['ratio'], settings.get('goal'))}",
            f"{100 * r['share_of_peak']:.1f} % of the machine's {o['machine_gflops']:.0f} GFLOP/s{met(r['share_of_peak'], settings.get('share'))}",
            f"peak {mib(o['peak_bytes'])}, PEFT {mib(p['peak_bytes'])}: {r['memory_ratio']:.2f}x{met(r['memory_ratio'], settings.get('memory'), True)}; "
            f"above its floor of {mib(p['floor_bytes'])}: {r['memory_ratio_above_floor']:.2f}x",
            f"plan {mib(r['plan_bytes'])} ({100 * r['plan_error']:+.1f} %); {o['blocks']:.0f} blocks asked of the system in the timed steps",
            "  ".join(f"{name} {1000 * seconds:.0f} ms" for name, seconds in r["phases"].items()),
        ]
        if not r["same_loss"]:
            said.append(f"NOT THE SAME WORK: first loss {o['first_loss']:.4f}, PEFT {p['first_loss']:.4f}")
        return said
    if row == "methods":
        return [f"{name:22} " + (m["failed"] if "failed" in m else f"{m['ratio']:.2f}x LoRA{met(m['ratio'], m['goal'], True)}")
                for name, m in r["methods"].items()]
    return [f"{title}: {result}; {against}" for title, _, result, against in OTHERS[row](r)]


def load(row):
    path = HERE / "results" / f"{row}.json"
    return json.loads(path.read_text()) if path.exists() else None


def cells(*values):
    return "| " + " | ".join(str(value) for value in values) + " |"


def command(row):
    return f"`bench/run {row}`"


def steps_table():
    out = [
        cells("work", "command", "tokens/s", "PEFT", "ratio", "share of peak", "ratio at the whole peak", "peak memory", "PEFT", "ratio",
              "ratio above PEFT's floor"),
        cells(*["---"] * 11),
    ]
    for row, settings in rows.STEPS.items():
        r = load(row)
        title = f"`{settings['model']}`, {settings['text']}"
        if not r:
            out.append(cells(title, command(row), *["–"] * 9))
            continue
        o, p = r["ours"], r["peer"]
        memory = met(o["peak_bytes"] / (1 << 30), settings["peak"] / (1 << 30), True).replace(":", " GiB:") if "peak" in settings else ""
        out.append(cells(
            title, command(row), f"{o['tokens_per_second']:,.0f}", f"{p['tokens_per_second']:,.0f}",
            f"{r['ratio']:.2f}{met(r['ratio'], settings.get('goal'))}",
            f"{100 * r['share_of_peak']:.1f} % of {o['machine_gflops']:.0f} GFLOP/s{met(r['share_of_peak'], settings.get('share'))}",
            f"{r['ratio'] / r['share_of_peak']:.2f}", mib(o["peak_bytes"]) + memory, mib(p["peak_bytes"]), f"{r['memory_ratio']:.2f}{met(r['memory_ratio'], settings.get('memory'), True)}",
            f"{r['memory_ratio_above_floor']:.2f}"))
    return out


def phases_table():
    found = [(row, r) for row in rows.STEPS if (r := load(row))]
    if not found:
        return []
    names = list(found[0][1]["phases"])
    out = ["", "Where a step's time goes, in ms; blocks that the tensors' pool asked of the system in the timed steps; what `plan` said of the peak:", "",
           cells("work", *names, "blocks", "plan against the real peak", "same loss as PEFT"), cells(*["---"] * (len(names) + 4))]
    for row, r in found:
        out.append(cells(f"`{row}`", *(f"{1000 * r['phases'][name]:.1f}" for name in names), f"{r['ours']['blocks']:.0f}",
                         f"{100 * r['plan_error']:+.1f} %", "yes" if r["same_loss"] else "**no**"))
    return out


def generation_rows(g):
    title = f"`{rows.GENERATION['model']}`, {rows.GENERATION['text']}"
    if not g:
        return [(title, "generate-llama-160m", "–", "–")]
    o = g["ours"]
    return [(
        title, "generate-llama-160m",
        f"{o['tokens_per_second']:.1f} tokens/s with the prompt; {o['weight_gb_per_second']:.1f} GB/s of weights, "
        f"{100 * g['share_of_read_bandwidth']:.0f} % of the {o['machine_read_gb_per_second']:.1f} that this machine reads",
        f"`transformers` {g['peer']['tokens_per_second']:.1f} tokens/s: {g['ratio']:.2f}x{met(g['ratio'], rows.GENERATION['goal'])}")]


def start_rows(s):
    if not s:
        return [("data-driven starts", "starts", "–", "–")]
    ga, p = s["lora_ga"], s["pissa"]
    few, many = ga["q_v"], ga["all_linear"]
    full = p["peer_exact"] / p["niter_4"]
    return [
        ("LoRA-GA's start, 8 batches", "starts",
         f"q, v: {few['seconds']:.2f} s, {mib(few['bytes'])}; all linears: {many['seconds']:.2f} s, {mib(many['bytes'])}",
         f"{ga['copies']:.2f} copies of the adapted weights{met(round(ga['copies'], 2), rows.STARTS['copies'], True)}"),
        ("PiSSA's start, `llama-160m`, all linears", "starts",
         f"niter 4: {p['niter_4']:.2f} s; 16: {p['niter_16']:.2f} s; exact {p['exact']:.2f} s",
         f"full SVD (PEFT's exact) in {p['peer_exact']:.2f} s: {full:.1f}x{met(full, rows.STARTS['goal_svd'])}; PEFT's niter 4 in "
         f"{p['peer_niter_4']:.2f} s: {p['against_peer_4']:.2f}x{met(p['against_peer_4'], rows.STARTS['goal_peer'])}, 16 in "
         f"{p['peer_niter_16']:.2f} s: {p['against_peer_16']:.2f}x"),
    ]


def startup_rows(u):
    if not u:
        return [("start-up", "start-up", "–", "–")]
    found = [("`peft methods`", u["methods_seconds"], rows.STARTUP["methods_ms"]),
             (f"`{rows.STARTUP['model']}` opened", u["load_seconds"], 1000 * rows.STARTUP["load_s"])]
    return [(title, "start-up", f"{1000 * seconds:.0f} ms", met(1000 * seconds, goal, True).strip(" ()")) for title, seconds, goal in found]


OTHERS = {"generate-llama-160m": generation_rows, "starts": start_rows, "start-up": startup_rows}


def other_table():
    out = ["", cells("work", "command", "result", "against"), cells(*["---"] * 4)]
    for row, made in OTHERS.items():
        out += [cells(title, command(name), result, against) for title, name, result, against in made(load(row))]
    return out


def methods_table():
    r = load("methods")
    head = ["", f"`{rows.METHODS['model']}`, {rows.METHODS['text']} ({command('methods')}):", ""]
    if not r:
        return head + ["not measured yet"]
    out = head + [cells("method", "seconds a step", "against LoRA", "peak memory", "against LoRA", "start, s"), cells(*["---"] * 6)]
    for name, m in sorted(r["methods"].items()):
        if "failed" in m:
            out.append(cells(f"`{name}`", m["failed"].replace("|", "\\|"), "", "", "", ""))
            continue
        out.append(cells(
            f"`{name}`" + (" on 4 bits" if m["quantized"] else ""), f"{m['seconds_per_step']:.3f}",
            f"{m['ratio']:.2f}{met(m['ratio'], m['goal'], True)}", mib(m["peak_bytes"]), f"{m['memory_ratio']:.2f}",
            f"{m['start_seconds']:.2f}"))
    return out


def circumstances():
    """Which machine, versions and dates the results are of."""
    seen = {}
    for row in rows.ROWS:
        if r := load(row):
            machine = ", ".join(f"{key} {value}" for key, value in r["machine"].items())
            peer = ", ".join(f"{key} {value}" for key, value in r["versions"].items())
            seen.setdefault((machine, peer, r["revision"], r["date"], r["pairs"]), []).append(row)
    out = []
    for (machine, peer, revision, date, pairs), found in seen.items():
        rest = "" if len(seen) == 1 else f" ({', '.join(found)})"
        out.append(f"- {date}, revision {revision}, {pairs} pair{'s' if pairs > 1 else ''} a row; {machine}; {peer}{rest}")
    return out + [""] if out else ["Nothing is measured yet.", ""]


def update():
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    body = circumstances() + steps_table() + phases_table() + other_table() + methods_table()
    PAGE.write_text(before + BEGIN + "\n\n" + "\n".join(body) + "\n\n" + END + after)


if __name__ == "__main__":
    update()
