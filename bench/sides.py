"""Runs one side or the other in a process of its own and reads what it says."""

import json, os, shlex, subprocess, sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


class SideFailed(Exception):
    """A side's command failed; the text is its own."""


class Sides:
    def __init__(self, options):
        self.options = options
        self.folder = Path(options.dir).absolute()
        self.environment = dict(os.environ, PEFT_THREADS=str(options.threads), TOKENIZERS_PARALLELISM="false")

    def run(self, command, measured):
        """Standard output of a command; what is measured runs behind --through."""
        command = [str(word) for word in command]
        if measured and self.options.through:
            command = shlex.split(self.options.through) + command
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if done.returncode != 0:
            lines = [line for line in done.stderr.strip().splitlines() if line]
            raise SideFailed(lines[-1] if lines else f"{command[0]} ended with code {done.returncode}")
        return done.stdout

    def ours(self, *words, measured=True):
        """The JSON object that a command of ours prints."""
        return self.parsed(self.run([self.options.peft, *words, "--json"], measured), words)

    def peer(self, *words, measured=True):
        """The peer's JSON line; the threads are ours."""
        threads = [] if words[0] in ("versions", "model") else ["--threads", self.options.threads]
        out = self.run([self.options.peer, HERE / "peer.py", *words, *threads], measured)
        return self.parsed((out.strip().splitlines() or [""])[-1], words)

    @staticmethod
    def parsed(text, words):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise SideFailed(f"`{words[0]}` printed no single JSON object: {error}") from None

    # What both sides work on, made once.

    def model(self, name):
        return self.made(self.folder / "models" / name, lambda path: self.peer("model", name, path, measured=False))

    def prepared(self, row):
        """Batches, and the adapter that both sides begin with."""
        name = "-".join(str(row[key]) for key in ("model", "method", "rank", "batch", "seq")) + f"-{len(row['targets'].split(','))}"
        model = self.model(row["model"])
        settings = [f"--{key}={row[key]}" for key in ("method", "rank", "targets", "batch", "seq")]
        return self.made(self.folder / "prepared" / name,
                         lambda path: self.peer("prepare", model, "--out", path, *settings, measured=False))

    def made(self, path, make):
        """A folder that appears whole."""
        if not path.exists():
            print(f"  makes {path.relative_to(self.folder)}", file=sys.stderr)
            part = path.with_name(path.name + ".part")
            self.run(["rm", "-rf", part], False)
            part.parent.mkdir(parents=True, exist_ok=True)
            make(part)
            part.rename(path)
        return path

    def run_file(self, name, model, lines):
        """A run file for our side. What a row measures does not depend on where its folders lie."""
        path = self.folder / "run-files" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = [f"base_model: {json.dumps(str(model))}", *lines, "steps: 10", "output_dir: never-written", ""]
        path.write_text("\n".join(text))
        return path

    def step_file(self, name, row):
        """The peer's run, as ours."""
        prepared = self.prepared(row)
        start = "method: full" if row["method"] == "full" else f"init_adapter: {json.dumps(str(prepared / 'adapter_init'))}"
        return self.run_file(name, self.model(row["model"]), [start, *self.data(prepared, row["batch"])])

    def data(self, prepared, batch):
        return [
            f"data: {{ tokens: {json.dumps(str(prepared / 'batches.safetensors'))} }}",
            "optimizer: { name: adamw, lr: 1e-3, weight_decay: 0.0, schedule: constant }",
            f"batch_size: {batch}", "clip_grad_norm: null",
        ]
