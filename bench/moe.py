"""Experts one after the other and in one grouped product: milliseconds to learn from a batch, and to read a few tokens.

    python bench/moe.py [--tokens 8192] [--repeats 7]

Two mixtures: 8 experts of which a token takes 2, and 64 narrow ones of which it takes 6; beside them the dense
feed-forward of as many active parameters. Interleaved repeats, medians (least to most).
"""

import argparse
import json
import statistics
import time

import torch

from groundup.core.device import choose_compute
from groundup.core.memory import keep_freed_memory
from groundup.model.config import ModelConfig
from groundup.model.feedforward import FeedForward
from groundup.model.moe.mixture import Mixture
from groundup.model.parts import MoeConfig

WIDTH = 256
MIXTURES = {"8 experts of 352, 2 each": (8, 2, 352), "64 experts of 128, 6 each": (64, 6, 128)}
KERNELS = ("plain", "grouped", "fastest")


def make_modules(experts, top_k, d_expert):
    modules = {}
    for kernel in KERNELS:
        moe = MoeConfig(n_experts=experts, top_k=top_k, d_expert=d_expert, kernel=kernel)
        modules[kernel] = Mixture(ModelConfig(d_model=WIDTH, moe=moe))
    modules["dense"] = FeedForward(WIDTH, top_k * d_expert, "swiglu")
    for module in modules.values():
        generator = torch.Generator().manual_seed(0)
        for parameter in module.parameters():
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) / WIDTH**0.5)
    return modules


def learn(module, x, compute):
    start = time.perf_counter()
    with compute.autocast():
        out = module(x)
    out.backward(torch.ones_like(out))
    module.zero_grad(set_to_none=True)
    return 1e3 * (time.perf_counter() - start)


@torch.no_grad()
def read(module, x, compute):
    start = time.perf_counter()
    with compute.autocast():
        module(x)
    return 1e3 * (time.perf_counter() - start)


def measure(modules, once, tokens, compute, repeats):
    times = {name: [] for name in modules}
    for repeat in range(repeats + 2):
        x = torch.randn(1, tokens, WIDTH, requires_grad=once is learn)
        for name, module in modules.items():
            took = once(module, x, compute)
            if repeat >= 2:
                times[name].append(took)
    return {name: (statistics.median(of), min(of), max(of)) for name, of in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=8192, help="tokens of a batch to learn from")
    parser.add_argument("--repeats", type=int, default=7)
    a = parser.parse_args()
    keep_freed_memory()
    results = []
    for precision in ("bf16", "fp32"):
        compute = choose_compute("cpu", precision)
        for what, sizes in MIXTURES.items():
            modules = make_modules(*sizes)
            for once, tokens in ((learn, a.tokens), (read, 1), (read, 4), (read, 16), (read, 64)):
                repeats = a.repeats if once is learn else 5 * a.repeats
                found = measure(modules, once, tokens, compute, repeats)
                told = "  ".join(f"{name} {m:.2f} ({low:.2f} to {high:.2f})" for name, (m, low, high) in found.items())
                print(f"{precision} {what}: {once.__name__:5} {tokens:5} tokens, ms: {told}")
                results.append({"precision": precision, "what": what, "once": once.__name__, "tokens": tokens, **found})
    print(json.dumps(results))


if __name__ == "__main__":
    main()
