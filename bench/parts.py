"""What each part is worth: the quickstart's model with one part changed, at equal parameters and equal time.

    python bench/parts.py [--minutes 1.5 | --steps 160] [--only "alibi|lstm"] [--out runs/parts]

Each variant is recipes/shakespeare.toml with one thing changed and sizes that keep the number of parameters where
that thing would move it. Each trains on one core of its own, as many at once as there are cores, for the same minutes
or the same steps; then 256 rows of the held-out plays are scored, the same for all. The recipe as it is runs with three
seeds: differences below their spread say nothing. Goes on where it was cut off. Prints a table in Markdown and one line
of JSON.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes" / "shakespeare.toml"
GROUNDUP = Path(sys.executable).with_name("groundup")
FEEDFORWARDS = ("relu", "gelu", "gelu-tanh", "swish", "relu2", "glu", "reglu", "geglu", "geglu-tanh", "bilinear")
POSITIONS = ("alibi", "learned", "sinusoidal", "none")

# name: (what it is compared for, overrides)
VARIANTS = {
    "the recipe: rope, swiglu, pre-norm": ("", ""),
    "the recipe, seed 2": ("", "--seed 2"),
    "the recipe, seed 3": ("", "--seed 3"),
    **{name: ("position", f"--model.position {name}") for name in POSITIONS},
    **{name: ("feed-forward", f"--model.feedforward {name}") for name in FEEDFORWARDS},
    "8 experts, as many parameters": ("feed-forward", "--model.moe.n_experts 8 --model.moe.d_expert 64"),
    "8 experts, as many in use": ("feed-forward", "--model.moe.n_experts 8 --model.moe.d_expert 256"),
    "one key/value head": ("attention", "--model.n_kv_heads 1 --model.d_ff 592"),
    "latent attention": (
        "attention",
        "--model.latent.kv_rank 64 --model.latent.nope_head_dim 32 --model.latent.rope_head_dim 32 "
        "--model.latent.v_head_dim 64 --model.d_ff 576",
    ),
    "window 64, every other layer": ("attention", "--model.window 64 --model.window_pattern LG"),
    "post-norm": ("norm", "--model.residual post"),
    "sandwich": ("norm", "--model.residual sandwich"),
    "parallel": ("norm", "--model.residual parallel"),
    "layernorm": ("norm", "--model.norm layernorm"),
    "lstm, one line": ("kind", "--model lstm"),
    "gru, one line": ("kind", "--model gru"),
    "rnn, one line": ("kind", "--model rnn"),
    "lstm, as many parameters": ("kind", "--model lstm --model.n_layers 7"),
    "gru, as many parameters": ("kind", "--model gru --model.n_layers 10"),
}


def build(run, until, words, core=None):
    """`groundup build` on one core (None: all); returns the facts of the last stage."""
    environment = os.environ | ({} if core is None else {"OMP_NUM_THREADS": "1"})
    command = [GROUNDUP, "build", RECIPE, "--out", run, "--until", until, *words]
    bind = None if core is None else lambda: os.sched_setaffinity(0, {core})
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True, preexec_fn=bind, check=False)
    if outcome.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {outcome.stderr.splitlines()[-1]}")
    return json.loads((run / until / "manifest.json").read_text())["facts"]


def measure(name, base, out, budget, cores):
    """Facts of one variant, trained for ("minutes", n) or ("steps", n)."""
    run = out / "".join(c if c.isalnum() else "-" for c in name)
    if not run.exists():
        shutil.copytree(base, run)
    words = [*VARIANTS[name][1].split(), f"--pretrain.{budget[0]}", str(budget[1]), "--pretrain.evaluations", "1"]
    core = cores.get()
    try:
        facts = build(run, "pretrain", [*words, "--pretrain.evaluation_rows", "256"], core)
    finally:
        cores.put(core)
    kept = ("parameters", "steps", "train_seconds", "validation_bits_per_byte")
    print(f"{name}: {facts['validation_bits_per_byte']:.3f} bits/byte", file=sys.stderr)
    return {"compared": VARIANTS[name][0], "change": VARIANTS[name][1]} | {key: facts[key] for key in kept}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.5)
    parser.add_argument("--steps", type=int, default=0, help="the same steps for all, in place of the same minutes")
    parser.add_argument("--only", default="", help="a regular expression that names of variants contain")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "parts")
    a = parser.parse_args()
    names = [name for name in VARIANTS if re.search(a.only, name)]
    budget = ("steps", a.steps) if a.steps else ("minutes", a.minutes)
    base = a.out / "base"
    a.out.mkdir(parents=True, exist_ok=True)
    build(base, "tokens", [])
    cores = SimpleQueue()
    for core in sorted(os.sched_getaffinity(0)):
        cores.put(core)
    with ThreadPoolExecutor(cores.qsize()) as pool:
        found = list(pool.map(lambda name: measure(name, base, a.out, budget, cores), names))
    print("| model | parameters | steps | seconds | bits/byte |\n|---|---:|---:|---:|---:|")
    for name, facts in zip(names, found, strict=True):
        score = facts["validation_bits_per_byte"]
        print(f"| {name} | {facts['parameters']:,} | {facts['steps']:,} | {facts['train_seconds']:.0f} | {score:.3f} |")
    print(json.dumps(dict(zip(names, found, strict=True))))


if __name__ == "__main__":
    main()
