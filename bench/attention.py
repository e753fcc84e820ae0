"""Attention kernels beside each other: milliseconds forward and backward, in bf16 on this machine.

    python bench/attention.py [--rows 32] [--heads 4] [--tokens 256] [--repeats 9]

Interleaved repeats, medians, and the ratio to torch's fused kernel. The floor is 14 · B · H · T² · K operations
(2 products forward, 5 backward, causal half not saved) over the peak of a square matrix product in the same run.
"""

import argparse
import json
import statistics
import time

import torch

from groundup.core.device import choose_compute, measure_matmul_peak
from groundup.core.memory import keep_freed_memory
from groundup.model.attention.kernels import Scoring, batched_attention, plain_attention, sdpa_attention

KERNELS = {"sdpa": sdpa_attention, "batched": batched_attention, "plain": plain_attention}


def once(kernel, shape, dtype):
    q, k, v = (torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(3))
    start = time.perf_counter()
    out = kernel(q, k, v, None, Scoring(shape[-1] ** -0.5))
    middle = time.perf_counter()
    out.backward(torch.ones_like(out))
    return 1e3 * (middle - start), 1e3 * (time.perf_counter() - middle)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("rows", 32), ("heads", 4), ("tokens", 256), ("size", 64), ("repeats", 9)):
        parser.add_argument(f"--{name}", type=int, default=default)
    a = parser.parse_args()
    keep_freed_memory()
    compute = choose_compute("cpu", "auto")
    shape = (a.rows, a.heads, a.tokens, a.size)
    times = {name: [] for name in KERNELS}
    for repeat in range(a.repeats + 2):
        for name, kernel in KERNELS.items():
            measured = once(kernel, shape, compute.dtype)
            if repeat >= 2:
                times[name].append(measured)
    floor = 1e3 * 14 * a.rows * a.heads * a.tokens**2 * a.size / measure_matmul_peak(compute)
    result = {"shape": shape, "precision": compute.precision, "floor_ms": floor, "kernels": {}}
    for name, pairs in times.items():
        totals = sorted(sum(pair) for pair in pairs)
        forward, backward = (statistics.median(column) for column in zip(*pairs, strict=True))
        median = statistics.median(totals)
        result["kernels"][name] = {"forward_ms": forward, "backward_ms": backward, "total_ms": median}
        print(
            f"{name:8} forward {forward:6.1f}  backward {backward:6.1f}  total {median:6.1f} ms "
            f"({totals[0]:.1f} to {totals[-1]:.1f})  {median / floor:.1f} × floor"
        )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
