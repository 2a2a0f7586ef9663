#!/usr/bin/env python3
"""The vision comparison of docs/vision.md: a small transformer is trained on the digits 0 to 4, then adapted to 5 to 9 from few
images by several methods, each at the best of its learning rates, over several seeds.

  bench/vision.py [--peft .build/release/peft] [--methods a,b,…] [--rates …] [--seeds 3] [--steps N]

Needs `swift build -c release --product peft` and Python. Results go to bench/results/vision.json, and from there into
docs/vision.md; what is done is not done again unless --overwrite is given. The files of the runs lie under runs/vision."""
import argparse, json, os, statistics, subprocess, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT / "runs" / "vision"
RESULT = ROOT / "bench" / "results" / "vision.json"
PAGE = ROOT / "docs" / "vision.md"
BEGIN, END = "<!-- results: bench/vision.py writes what follows -->", "<!-- end of results -->"
# Bounds first: the head by itself, and everything. Every method as its paper has it, at its own sites.
METHODS = ["examples/vision/head.yaml", "full", "lora", "block-lora", "snell", "snell:sparsity=0", "hydra"]


def peft(options, *words):
    command = [options.peft, *map(str, words)]
    print("$ peft", *words[:2], "…", flush=True)
    done = subprocess.run(command, cwd=ROOT)
    for path in words:
        # Copies of run files are for one call.
        if isinstance(path, Path) and path.name.startswith(".") and path.suffix == ".yaml":
            path.unlink()
    if done.returncode != 0:
        sys.exit("peft " + words[0] + " failed")


def with_steps(path, steps):
    """The run file, or a copy of it beside it with another number of steps."""
    if steps is None:
        return path
    lines = [line for line in path.read_text().splitlines() if not line.startswith(("steps:", "epochs:"))]
    copy = path.with_name(f".{path.stem}-{steps}.yaml")
    copy.write_text("\n".join(lines + [f"steps: {steps}"]) + "\n")
    return copy


def last(path, key):
    """The last record of a run's log that has the key."""
    return [record for record in map(json.loads, path.read_text().splitlines()) if key in record][-1]


def pretrained(options):
    """Trains the base, unless it is there, and returns what its log says of it."""
    log, done = RUNS / "pretrain" / "metrics.jsonl", (RUNS / "pretrain" / "model").exists()
    if options.overwrite or not done:
        peft(options, "train", with_steps(ROOT / "examples/vision/pretrain.yaml", options.pretrain_steps), "--overwrite", "--quiet")
    steps = [record for record in map(json.loads, log.read_text().splitlines()) if "seconds" in record]
    test = last(log, "test_loss")
    return dict(steps=len(steps), seconds=sum(record["seconds"] for record in steps), test=test)


def compared(options):
    words = ["compare", with_steps(ROOT / "examples/vision/adapt.yaml", options.steps), "--output", RUNS / "compare", "--quiet"]
    words += ["--methods", options.methods, "--seeds", options.seeds, "--selection-seeds", options.selection_seeds]
    words += ["--baseline", "lora"] if "lora" in options.methods.split(",") else []
    words += ["--rates", options.rates] + (["--overwrite"] if options.overwrite else [])
    peft(options, *words)
    return json.loads((RUNS / "compare" / "comparison.json").read_text())


def row(method, trials):
    """What one method showed: numbers of each seed at its own rate, in order of the seeds."""
    own = [t for t in trials if t["method"] == method["name"] and t["rate"] == method["rate"] and t["diverged"] is None]
    accuracies = [t["figures"]["accuracy"] for t in own]
    return dict(
        name=method["name"], rate=method["rate"], rate_at_edge=method["rate_at_edge"], diverged=method["diverged"],
        trainable=method["trainable"], accuracies=accuracies, accuracy=statistics.mean(accuracies) if accuracies else None,
        deviation=statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        losses=[t["held_out"] for t in own], ece=statistics.mean(t["figures"]["ece"] for t in own) if own else None,
        seconds=statistics.median(t["seconds"] for t in own) if own else None, seconds_per_step=method["seconds_per_step"])


def table(result):
    def percent(value):
        return "–" if value is None else f"{100 * value:.1f}"

    yield "| method | trained numbers | rate | accuracy, % | each seed | loss | calibration error | seconds a run |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for m in result["methods"]:
        if m["accuracy"] is None or m["diverged"]:
            yield f"| {m['name']} | {m['trainable']:,} | – | diverged | | | | |"
            continue
        deviation = f" ± {percent(m['deviation'])}" if m["deviation"] is not None else ""
        yield (
            f"| {m['name']} | {m['trainable']:,} | {m['rate']:g}{'*' if m['rate_at_edge'] else ''} "
            f"| {percent(m['accuracy'])}{deviation} | {', '.join(map(percent, m['accuracies']))} "
            f"| {statistics.mean(m['losses']):.3f} | {m['ece']:.3f} | {m['seconds']:.1f} |")


def write(result):
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    base, parts = result["base"], {part["name"].split(":")[0]: part for part in result["data"]}
    lines = [
        f"The base, {base['steps']} steps in {base['seconds']:.0f} s: {100 * base['test']['test_accuracy']:.1f} % of unseen 0 to 4.",
        f"Then {result['steps']} steps on {parts['training']['examples']} images of 5 to 9; accuracies are of "
        f"{parts['held out']['examples']} others, mean ± standard deviation over {len(result['seeds'])} seeds (of order, draws "
        f"and head). Rates are the best of {', '.join(f'{rate:g}' for rate in result['rates'])} on "
        f"{parts['validation']['examples']} further images; * at an edge of the grid.", "", *table(result), "",
        f"{'; '.join(result['machines'])}; {result['program']}."]
    page = PAGE.read_text()
    head, rest = page.split(BEGIN)
    PAGE.write_text(head + BEGIN + "\n\n" + "\n".join(lines) + "\n\n" + END + rest.split(END)[1])
    print("\n".join(lines))


def main():
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--peft", default=str(ROOT / ".build/release/peft"))
    reader.add_argument("--methods", default=",".join(METHODS))
    reader.add_argument("--rates", default="3e-4,1e-3,3e-3,1e-2,3e-2,1e-1")
    reader.add_argument("--seeds", type=int, default=3)
    reader.add_argument("--selection-seeds", type=int, default=3)
    reader.add_argument("--steps", type=int, help="in place of the run file's, for a trial")
    reader.add_argument("--pretrain-steps", type=int)
    reader.add_argument("--overwrite", action="store_true")
    options = reader.parse_args()
    options.peft = os.path.abspath(options.peft)
    base = pretrained(options)
    comparison = compared(options)
    methods = [row(method, comparison["trials"]) for method in comparison["methods"]]
    kept = {key: comparison[key] for key in ("program", "machines", "steps", "rates", "seeds", "selection_seeds", "data")}
    # Places would be of one machine.
    for part in kept["data"]:
        part.pop("place")
    write(dict(format="vision-1", base=base, **kept, methods=methods))


if __name__ == "__main__":
    main()
