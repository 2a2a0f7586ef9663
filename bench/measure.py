"""The rows with a peer: pairs of measurements, ours and the peer's in turn, and what follows from them."""

from statistics import median

import rows


def step_pair(sides, name):
    row = rows.STEPS[name]
    file, prepared = sides.step_file(name, row), sides.prepared(row)
    counts = ["--steps", row["steps"], "--warm-up", row["warm_up"]]
    ours = sides.ours("bench", file, *counts)
    peer = sides.peer("train", sides.model(row["model"]), "--run", prepared, *counts)
    return dict(ours=ours, peer=peer)


def step_extras(sides, name):
    """What is measured once: what `plan` predicts, and what the peer's script needs for next to no model."""
    row = rows.STEPS[name]
    plan = sides.ours("plan", sides.step_file(name, row))
    tiny = {**rows.STEP, "model": "llama-tiny"}
    floor = sides.peer("train", sides.model("llama-tiny"), "--run", sides.prepared(tiny), "--steps", 2)
    return dict(plan_peak=plan["memory"]["peak"], floor=floor["peak_bytes"])


def step_result(name, pairs, extras):
    ours, peer = [p["ours"] for p in pairs], [p["peer"] for p in pairs]
    speed = {key: median(o["speed"][key] for o in ours) for key in ours[0]["speed"]}
    peak, peers_peak = median(o["memory"]["process"] for o in ours), median(p["peak_bytes"] for p in peer)
    above = peers_peak - extras["floor"]
    loss = float(ours[0]["run"]["loss of the first step"])
    return dict(
        ours=dict(tokens_per_second=speed["tokens_per_second"], seconds_per_step=speed["seconds_per_step"], gflops=speed["gflops"],
                  machine_gflops=speed["machine_gflops"], peak_bytes=peak, blocks=max(o["speed"]["blocks"] for o in ours),
                  first_loss=loss),
        peer=dict(tokens_per_second=median(p["tokens_per_second"] for p in peer),
                  seconds_per_step=median(p["seconds_per_step"] for p in peer), peak_bytes=peers_peak, floor_bytes=extras["floor"],
                  first_loss=peer[0]["losses"][0]),
        ratio=median(o["speed"]["tokens_per_second"] / p["tokens_per_second"] for o, p in zip(ours, peer)),
        share_of_peak=median(o["speed"]["share_of_peak"] for o in ours),
        memory_ratio=peak / peers_peak, memory_ratio_above_floor=peak / above,
        plan_bytes=extras["plan_peak"], plan_error=extras["plan_peak"] / peak - 1,
        # Both sides did the same work, or the row is worth nothing.
        same_loss=abs(loss - peer[0]["losses"][0]) < 2e-3,
        phases={key: median(o["phases"][key] for o in ours) for key in ours[0]["phases"]},
        memory={key: median(o["memory"].get(key, 0) for o in ours) for key in ours[0]["memory"]})


def generation_pair(sides, _):
    row = rows.GENERATION
    model = sides.model(row["model"])
    ours = sides.ours("bench", model, "--prompt-tokens", row["prompt"], "--new-tokens", row["new"], "--steps", row["times"])
    peer = sides.peer("generate", model, "--prompt", row["prompt"], "--new", row["new"], "--times", row["times"])
    return dict(ours=ours, peer=peer)


def generation_result(_, pairs, __):
    ours, peer = [p["ours"] for p in pairs], [p["peer"] for p in pairs]
    speed = {key: median(o["speed"][key] for o in ours) for key in ours[0]["speed"]}
    return dict(
        ours=dict(**speed, peak_bytes=median(o["memory"]["process"] for o in ours)),
        peer=dict(tokens_per_second=median(p["tokens_per_second"] for p in peer), peak_bytes=median(p["peak_bytes"] for p in peer)),
        ratio=median(o["speed"]["tokens_per_second"] / p["tokens_per_second"] for o, p in zip(ours, peer)),
        share_of_read_bandwidth=speed["share_of_read_bandwidth"])
