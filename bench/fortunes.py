#!/usr/bin/env python3
"""A pretrained encoder learns the topics of quotes, by every method of ours and beside Hugging Face PEFT: bench/results/fortunes.json and
docs/fortunes.md.

  bench/fortunes.py --peer env/bin/python                      all of it; stopped, the same command goes on
  bench/fortunes.py --peer env/bin/python --methods lora,dora  some of our methods; said, but not written down
  bench/fortunes.py --table                                    docs/fortunes.md anew, of what was measured

Needs the model (Scripts/minilm), `swift build -c release --product peft`, and for the peer what bench/requirements.txt names. LoRA and
full fine-tuning are trained by both sides, LoRA with --seeds seeds, all else with --other-seeds. Every adapter that is a change of
weights is merged, and the merged model evaluated; of LoRA's, each side evaluates the other's.
"""
import argparse, hashlib, json, os, subprocess, sys, time
from pathlib import Path

sys.dont_write_bytecode = True
import fortunes_table
from sides import HERE, SideFailed, Sides

ROOT = HERE.parent
DATA = ROOT / "examples/data/fortunes"
BUDGET = dict(epochs=3, batch=16, length=64, rank=8, alpha=16, targets=["attention.query", "attention.value"])
# Times the rate that an entry proposes for models of billions of weights; LoRA's is then 1e-3, full fine-tuning's 5e-5.
RATE = 5
# Where a method stays as much behind LoRA, it is tried with these times that rate: what its entry proposes, and more.
BEHIND, OTHERS = 0.03, (1 / RATE, 5)
BOTH = ["lora", "full"]


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value, indent=1) + "\n")
    part.rename(path)


class Comparison:
    def __init__(self, options):
        self.options = options
        self.sides = Sides(options)
        self.model = Path(options.model).absolute()
        self.pages = {page["name"]: page for page in self.sides.ours("methods", measured=False)}
        self.program = hashlib.sha256(Path(options.peft).read_bytes()).hexdigest()
        self.peer_says = self.peer("versions") if options.peer else None

    # Running the sides

    def peer(self, *words):
        words = [*words] if words == ("versions",) else [*words, "--threads", self.options.threads]
        out = self.sides.run([self.options.peer, HERE / "fortunes_peer.py", *words], words[0] == "train")
        return Sides.parsed((out.strip().splitlines() or [""])[-1], words)

    def judged(self, *words):
        """What `peft eval` says of the evaluation rows."""
        said = self.sides.ours("eval", *words, "--data", DATA / "eval.jsonl", "--max-length", BUDGET["length"])
        return {key: said[key] for key in ("accuracy", "macro_f1", "loss")}

    def kept(self, name, identity, make):
        """A part's result, made once for the same program and settings. What failed is tried again."""
        path = self.sides.folder / "results" / f"{name}.json"
        if path.exists() and not self.options.again:
            state = json.loads(path.read_text())
            if state["identity"] == identity and "failed" not in state["result"]:
                return state["result"]
        began = time.monotonic()
        try:
            result = make()
        except SideFailed as failed:
            result = dict(failed=str(failed).replace(str(self.sides.folder) + "/", "").replace(str(self.model), "the model"))
        write(path, dict(identity=identity, result=result))
        shown = result.get("failed") or "  ".join(f"{key} {value:.4f}" for key, value in result.items() if isinstance(value, float))
        print(f"{name}: {time.monotonic() - began:.0f} s  {shown}", flush=True)
        return result

    # Our side

    def rate(self, method, factor=1):
        return RATE * factor * self.pages[method]["learning_rate"]

    def run_file(self, method, seed, factor, model, output):
        axis = self.pages[method]["axes"]["projection"]
        known = {option["name"] for option in axis["options"]}
        options = {"rank": BUDGET["rank"]} if "rank" in known else {}
        if method == "lora":
            options["alpha"] = BUDGET["alpha"]
        chosen = ", ".join([f"use: {method}", *(f"{key}: {value}" for key, value in options.items())])
        lines = [
            "task: sequence_classification",
            f"base_model: {json.dumps(str(model))}",
            f"method: {{ {chosen} }}",
            *([f"target_modules: {json.dumps(BUDGET['targets'])}"] if method != "full" else []),
            f"data: {{ train: {json.dumps(str(DATA / 'train.jsonl'))}, max_seq_len: {BUDGET['length']} }}",
            f"optimizer: {{ lr: {self.rate(method, factor):g}, schedule: linear }}",
            f"epochs: {BUDGET['epochs']}", f"batch_size: {BUDGET['batch']}", f"seed: {seed}", f"output_dir: {json.dumps(str(output))}", "",
        ]
        path = self.sides.folder / "run-files" / f"{method}-{seed}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines))
        return path

    def trained(self, method, seed, factor, model):
        output = self.sides.folder / "runs" / f"{method}-{seed}"
        file = self.run_file(method, seed, factor, model, output)
        out = self.sides.run([self.options.peft, "train", file, "--overwrite", "--json"], True)
        said = Sides.parsed(out.strip().splitlines()[-1], ["train"])
        files = ["--model", said["model"] or model, *(["--adapter", said["adapter"]] if said["adapter"] else [])]
        result = dict(seconds=said["seconds"], trainable=said["trainable"], peak_bytes=said["peak_rss"], **self.judged(*files))
        if said["adapter"] and seed == 0:
            result["merged"] = self.merged(method, files)
        if seed > 0:
            self.sides.run(["rm", "-rf", output], False)
        return result

    def merged(self, method, files):
        """The merged model by itself; why there is none, where the change depends on the input."""
        out = self.sides.folder / "merged" / method
        self.sides.run(["rm", "-rf", out], False)
        try:
            self.sides.run([self.options.peft, "merge", *files, "--out", out], False)
        except SideFailed as failed:
            return dict(refused=str(failed))
        result = self.judged("--model", out)
        if method != "lora":
            self.sides.run(["rm", "-rf", out], False)
        return result

    def ours(self, method, seed, factor=1):
        identity = [self.program, method, seed, BUDGET, self.rate(method, factor)]

        def make():
            try:
                return self.trained(method, seed, factor, self.model)
            except SideFailed as failed:
                if "quantiz" not in str(failed):
                    raise
            # The method is for bases in few bits.
            coded = self.sides.made(self.sides.folder / "models" / "minilm-4bit", lambda path: self.sides.run(
                [self.options.peft, "quantize", self.model, "--scheme", "rtn", "--bits", 4, "--group-size", 16, "--output", path], False))
            return dict(quantized=True, **self.trained(method, seed, factor, coded))

        return self.kept(f"ours-{method}-{seed}" + ("" if factor == 1 else f"-x{factor:g}"), identity, make)

    # The peer's side, and across

    def theirs(self, method, seed):
        settings = [f"--{key}={BUDGET[key]}" for key in ("epochs", "batch", "length", "rank", "alpha")]
        out = self.sides.folder / "peer" / f"{method}-{seed}"
        words = ["train", self.model, "--train", DATA / "train.jsonl", "--eval", DATA / "eval.jsonl", "--method", method, "--seed", seed,
                 f"--rate={self.rate(method)}", *settings, *(["--out", out] if method == "lora" and seed == 0 else [])]
        return self.kept(f"peer-{method}-{seed}", [self.peer_says, method, seed, BUDGET, self.rate(method)], lambda: self.peer(*words))

    def across(self):
        """Each side judges what the other has trained."""
        adapter = self.sides.folder / "runs" / "lora-0" / "adapter"
        rows = ["--eval", DATA / "eval.jsonl", "--length", BUDGET["length"]]
        parts = {
            "our adapter, by PEFT": lambda: self.peer("eval", self.model, *rows, "--adapter", adapter),
            "our merged model, by transformers": lambda: self.peer("eval", self.sides.folder / "merged" / "lora", *rows),
            # PEFT's files do not name the classes, and the peer numbers them in this order.
            "PEFT's adapter, by us": lambda: self.judged(
                "--model", self.model, "--adapter", self.sides.folder / "peer" / "lora-0", "--task", "sequence_classification",
                "--labels", *sorted({json.loads(row)["label"] for row in (DATA / "train.jsonl").read_text().splitlines()})),
        }
        identity = [self.program, self.peer_says, BUDGET, self.rate("lora")]
        return {name: self.kept("across-" + name.replace(" ", "-").replace(",", ""), identity, make) for name, make in parts.items()}

    # All of it

    def measure(self):
        methods = self.options.methods.split(",") if self.options.methods else [*BOTH, *(m for m in self.pages if m not in BOTH)]
        unknown = [method for method in methods if method not in self.pages]
        if unknown:
            raise SideFailed(f"no method is called {', '.join(unknown)}")
        found = dict(ours={}, peer={})
        # In turns, so that a machine that grows slower does so for both.
        for method in methods:
            seeds = self.options.seeds if method == "lora" else self.options.other_seeds
            for seed in range(seeds):
                found["ours"].setdefault(method, []).append(self.ours(method, seed))
                if method in BOTH and self.options.peer:
                    found["peer"].setdefault(method, []).append(self.theirs(method, seed))
        if "lora" in methods:
            late = [name for name in fortunes_table.behind(found["ours"], BEHIND) if name not in BOTH]
            found["others"] = [dict(method=name, factor=factor, run=self.ours(name, 0, factor)) for name in late for factor in OTHERS]
        if "lora" in methods and self.options.peer:
            found["across"] = self.across()
        return found, [name for side in ("ours", "peer") for name, runs in found[side].items() if any("failed" in run for run in runs)]

    def about(self):
        revision = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True).stdout.strip()
        return dict(date=time.strftime("%Y-%m-%d"), revision=revision, versions=self.peer_says, threads=self.options.threads,
                    processor=processor(), budget=BUDGET, rates={name: self.rate(name) for name in self.pages}, behind=BEHIND)


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ROOT / "runs/minilm"), help="the encoder's folder")
    parser.add_argument("--methods", default="", metavar="A,B", help="of ours; default: all")
    parser.add_argument("--seeds", type=int, default=3, help="of LoRA, on both sides")
    parser.add_argument("--other-seeds", type=int, default=1, help="of all else")
    parser.add_argument("--peer", default="", metavar="PYTHON", help="a Python that has the peer; without one, our side alone")
    parser.add_argument("--peft", default=str(ROOT / ".build/release/peft"), help="our program")
    parser.add_argument("--dir", default="runs/fortunes", help="the folder of runs and finished parts")
    parser.add_argument("--threads", type=int, default=2, help="threads of either side")
    parser.add_argument("--through", default="", metavar="COMMAND", help="put before every training: nice, taskset, a lock")
    parser.add_argument("--again", action="store_true", help="begin anew what was done")
    parser.add_argument("--table", action="store_true", help="only write docs/fortunes.md of bench/results/fortunes.json")
    options = parser.parse_args()
    if options.table:
        fortunes_table.update()
        return 0
    if not (Path(options.model) / "model.safetensors").is_file():
        parser.error(f"{options.model} holds no model: Scripts/minilm fetches it")
    if not Path(options.peft).is_file():
        parser.error(f"{options.peft} is not there: swift build -c release --product peft")
    try:
        comparison = Comparison(options)
        found, failed = comparison.measure()
    except SideFailed as error:
        print(f"fortunes: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 75
    result = {**comparison.about(), **found}
    if not options.methods:
        write(fortunes_table.RESULT, result)
        fortunes_table.update()
    for line in fortunes_table.verdicts(result):
        print(line)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
