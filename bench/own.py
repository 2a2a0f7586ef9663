"""The rows without a peer's step: methods against each other, starts, start-up."""

import sys
from statistics import median

import rows
from sides import HERE, SideFailed


def method_file(sides, name, quantized):
    """A run of a method's default entry, at the common rank where it has one."""
    row = rows.METHODS
    pages = {page["name"]: page for page in sides.ours("methods", measured=False)}
    has_rank = any(option["name"] == "rank" for option in pages[name]["axes"]["projection"]["options"])
    model = plain = sides.model(row["model"])
    if quantized:
        # Groups of 16 divide the inputs of every map.
        coded = ["--scheme", "rtn", "--bits", 4, "--group-size", 16]
        model = sides.made(sides.folder / "models" / f"{row['model']}-4bit",
                           lambda path: sides.run([sides.options.peft, "quantize", plain, *coded, "--output", path], False))
    method = f"method: {{ use: {name}, rank: {row['rank']} }}" if has_rank else f"method: {name}"
    prepared = sides.prepared({**rows.STEP, "model": row["model"]})
    lines = [method, f"target_modules: [{row['targets'].replace(',', ', ')}]", *sides.data(prepared, rows.STEP["batch"])]
    return sides.run_file(f"methods-{name}{'-4bit' if quantized else ''}", model, lines)


def method_names(sides):
    return [page["name"] for page in sides.ours("methods", measured=False) if page["name"] not in ("full", "lora")]


def method_pair(sides, name):
    """LoRA and the method in turn; on a base in four bits, for both, where the method asks for one."""
    counts = ["--steps", rows.METHODS["steps"], "--warm-up", rows.METHODS["warm_up"]]
    quantized = False
    try:
        try:
            theirs = sides.ours("bench", method_file(sides, name, False), *counts)
        except SideFailed as failed:
            if "quantiz" not in str(failed):
                raise
            quantized = True
            theirs = sides.ours("bench", method_file(sides, name, True), *counts)
        lora = sides.ours("bench", method_file(sides, "lora", quantized), *counts)
    except SideFailed as failed:
        return dict(failed=str(failed).replace(str(sides.folder) + "/", ""))
    return dict(lora=lora, method=theirs, quantized=quantized)


def method_result(name, pairs):
    failed = next((p["failed"] for p in pairs if "failed" in p), None)
    if failed:
        return dict(failed=failed)
    seconds = [[p[side]["speed"]["seconds_per_step"] for p in pairs] for side in ("method", "lora")]
    peaks = [median(p[side]["memory"]["process"] for p in pairs) for side in ("method", "lora")]
    return dict(
        seconds_per_step=median(seconds[0]), lora_seconds_per_step=median(seconds[1]),
        ratio=median(mine / lora for mine, lora in zip(*seconds)), peak_bytes=peaks[0], memory_ratio=peaks[0] / peaks[1],
        start_seconds=median(p["method"]["speed"]["start_seconds"] for p in pairs), quantized=pairs[0]["quantized"],
        goal=rows.METHODS["slow_goal" if name in rows.SLOW else "goal"])


def starts_pair(sides, _):
    row = rows.STARTS
    result = dict(lora_ga={}, pissa={}, peer={})
    # Twice with different sites: what the start holds more, by what the adapted weights are more, is how many copies it holds.
    prepared = sides.prepared({**rows.STEP, "model": row["gradient_model"]})
    for targets in (rows.STEP["targets"], rows.ALL_LINEAR):
        lines = ["method: { use: lora-ga, batches: 8 }", f"target_modules: [{targets.replace(',', ', ')}]",
                 *sides.data(prepared, rows.STEP["batch"])]
        file = sides.run_file(f"starts-lora-ga-{len(targets.split(','))}", sides.model(row["gradient_model"]), lines)
        made = sides.ours("bench", file, "--steps", 1, "--warm-up", 0)
        result["lora_ga"][targets] = dict(seconds=made["speed"]["start_seconds"], bytes=made["memory"]["start"],
                                          weights=made["memory"]["evidence"], process=made["memory"]["process"])
    model = sides.model(row["svd_model"])
    prepared = sides.prepared(rows.STEPS["llama-160m-lora-all"])
    for niter in ("null", 4, 16):
        lines = [f"method: {{ use: pissa, rank: {row['rank']}, niter: {niter} }}", "target_modules: all-linear",
                 *sides.data(prepared, 2)]
        made = sides.ours("bench", sides.run_file(f"starts-pissa-{niter}", model, lines), "--steps", 1, "--warm-up", 0)
        result["pissa"][str(niter)] = made["speed"]["start_seconds"]
    for start in ("pissa", "pissa_niter_4", "pissa_niter_16"):
        result["peer"][start] = sides.peer("start", model, "--init", start, "--rank", row["rank"])["seconds"]
    return result


def starts_result(_, pairs, __):
    few, many = (rows.STEP["targets"], rows.ALL_LINEAR)
    ga = {targets: {key: median(p["lora_ga"][targets][key] for p in pairs) for key in ("seconds", "bytes", "weights", "process")}
          for targets in (few, many)}
    pissa = {niter: median(p["pissa"][niter] for p in pairs) for niter in ("null", "4", "16")}
    peer = {start: median(p["peer"][start] for p in pairs) for start in ("pissa", "pissa_niter_4", "pissa_niter_16")}
    copies = (ga[many]["bytes"] - ga[few]["bytes"]) / (ga[many]["weights"] - ga[few]["weights"])
    return dict(lora_ga=dict(q_v=ga[few], all_linear=ga[many], copies=copies),
                pissa=dict(exact=pissa["null"], niter_4=pissa["4"], niter_16=pissa["16"], peer_exact=peer["pissa"],
                           peer_niter_4=peer["pissa_niter_4"], peer_niter_16=peer["pissa_niter_16"],
                           against_peer_4=peer["pissa_niter_4"] / pissa["4"],
                           against_peer_16=peer["pissa_niter_16"] / pissa["16"]))


def startup_pair(sides, _):
    # In one process, so that what --through puts before it is not timed.
    listing = sides.run([sys.executable, HERE / "clock.py", 20, sides.options.peft, "methods"], True)
    load = sides.ours("bench", sides.model(rows.STARTUP["model"]), "--steps", 1, "--new-tokens", 2)
    return dict(methods=float(listing), load=load["speed"]["load_seconds"])


def startup_result(_, pairs, __):
    return dict(methods_seconds=median(p["methods"] for p in pairs), load_seconds=median(p["load"] for p in pairs))
