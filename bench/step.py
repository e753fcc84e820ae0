"""A training step with and without each of the things that make it fast on a CPU.

    python bench/step.py [--repeats 9]

The model of recipes/shakespeare.toml on random tokens: no data, no text. Each variant runs in a process of its own
(memory settings cannot be taken back), in turn; medians, and page faults of a step.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

VARIANTS = ("all", "memory handed back", "sdpa attention", "torch's norm", "torch.compile")


class RandomTokens:
    """Batches of random tokens, as the loop asks for them."""

    def __init__(self, rows, seq_len, vocab_size):
        self.rows_per_batch, self.seq_len, self.vocab_size = rows, seq_len, vocab_size

    def slice(self, step, start, stop):
        import numpy as np

        from groundup.data.batches import Batch

        tokens = np.random.default_rng(step).integers(0, self.vocab_size, (stop - start, self.seq_len + 1))
        zeros = np.zeros((stop - start, self.seq_len), np.int64)
        return Batch(tokens[:, :-1].copy(), tokens[:, 1:].copy(), zeros, zeros.astype(np.int32))


def measure(variant, repeats):
    import numpy as np
    import torch
    from torch.nn import functional as F

    from groundup.core.device import choose_compute, measure_matmul_peak
    from groundup.core.memory import keep_freed_memory
    from groundup.model.count import flops_per_token
    from groundup.model.initialize import initialize
    from groundup.model.norm import RMSNorm
    from groundup.model.transformer import Transformer
    from groundup.objective.next_token import NextToken
    from groundup.optim.optimizer import Optimizer
    from groundup.pipeline.load import load_recipe
    from groundup.train.step import Stepper

    recipe = load_recipe(Path(__file__).parents[1] / "recipes" / "shakespeare.toml")
    vocab_size, tokens = recipe.tokenizer.vocab_size, recipe.pretrain.global_batch_tokens
    config = recipe.model.model_copy(update={"attention": "sdpa"} if variant == "sdpa attention" else {})
    if variant != "memory handed back":
        keep_freed_memory()
    if variant == "torch's norm":
        RMSNorm.forward = lambda self, x: F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), self.eps)
    model = initialize(Transformer(config, vocab_size), 0)
    if variant == "torch.compile":
        model.compile()
    compute = choose_compute("cpu", "auto")
    objective = NextToken(np.ones(vocab_size, dtype=np.int64))
    stepper = Stepper(model, objective, Optimizer(model, recipe.pretrain), compute)
    batches = RandomTokens(tokens // config.max_seq_len, config.max_seq_len, vocab_size)
    times, faults, first = [], [], time.perf_counter()
    for step in range(repeats + 3):
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
        stepper.update(batches, step, 1e-3, batches.rows_per_batch, seed=0)
        times.append(time.perf_counter() - start)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    peak = measure_matmul_peak(compute)
    floor = flops_per_token(config, vocab_size, config.max_seq_len) * tokens / peak
    return {
        "step_ms": 1e3 * statistics.median(times[3:]),
        "page_faults": statistics.median(faults[3:]),
        "first_three_s": times[0] + times[1] + times[2],
        "floor_ms": 1e3 * floor,
        "peak_gflops": peak / 1e9,
        "threads": torch.get_num_threads(),
        "seconds": time.perf_counter() - first,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15, help="steps measured in a process")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each variant")
    parser.add_argument("--variant", choices=VARIANTS)
    a = parser.parse_args()
    if a.variant:
        print(json.dumps(measure(a.variant, a.repeats)))
        return
    rounds = {variant: [] for variant in VARIANTS}
    for _ in range(a.rounds):
        for variant in VARIANTS:
            command = [sys.executable, __file__, "--variant", variant, "--repeats", str(a.repeats)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            rounds[variant].append(json.loads(done.stdout.splitlines()[-1]))
    for variant, results in rounds.items():
        steps = sorted(result["step_ms"] for result in results)
        median = {key: statistics.median(result[key] for result in results) for key in results[0]}
        print(
            f"{variant:20} {median['step_ms']:6.0f} ms ({steps[0]:.0f} to {steps[-1]:.0f}), "
            f"{median['step_ms'] / median['floor_ms']:.1f} × floor, {median['page_faults']:.0f} page faults a step, "
            f"first three steps {median['first_three_s']:.1f} s"
        )
    print(json.dumps(rounds))


if __name__ == "__main__":
    main()
