"""The learning rate, a pure function of the step (Law 3)."""

import math

from groundup.optim.config import OptimConfig


def lr_factor(config: OptimConfig, step: int, total_steps: int) -> float:
    """Share of the peak rate at `step`, counted from 0, of `total_steps`.

    The warm-up takes at most a tenth of all steps, so that a very short run still trains at its peak.
    """
    warmup = min(config.warmup_steps, total_steps // 10)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    floor = config.min_lr_ratio
    if config.schedule == "cosine":
        progress = (step - warmup) / max(1, total_steps - warmup)
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))
    decay_steps = max(1, round(config.decay_fraction * total_steps))
    return floor + (1 - floor) * min(1.0, (total_steps - step) / decay_steps)
