"""From a budget (minutes, steps, tokens, epochs) to a number of steps."""

import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from groundup.core.decisions import Decisions
from groundup.core.errors import UserError
from groundup.optim.optimizer import Optimizer
from groundup.train.config import TrainConfig
from groundup.train.step import BatchSource, Stepper

PROBE_SECONDS, PROBE_MIN_STEPS, WARM_UP_STEPS = 5.0, 4, 2
LOGITS_BYTES = 256e6


@dataclass(frozen=True)
class Plan:
    """The numbers that a training follows."""

    steps: int
    rows: int
    """Rows of a global batch."""
    micro_rows: int
    seq_len: int

    @property
    def tokens_per_step(self) -> int:
        """Tokens of a global batch."""
        return self.rows * self.seq_len


def rows_of_batch(config: TrainConfig, seq_len: int) -> int:
    """Rows of a global batch. Raises UserError if it is not a whole number of them."""
    if config.global_batch_tokens % seq_len:
        near = max(1, round(config.global_batch_tokens / seq_len)) * seq_len
        raise UserError(
            f"global_batch_tokens {config.global_batch_tokens} is not a multiple of the sequence length {seq_len}",
            f"set global_batch_tokens = {near}",
        )
    return config.global_batch_tokens // seq_len


def rows_of_micro_batch(config: TrainConfig, rows: int, seq_len: int, vocab_size: int) -> int:
    """Rows computed at once: as asked, or as many as keep the fp32 logits small."""
    asked = config.micro_batch_size or max(1, int(LOGITS_BYTES / (4 * vocab_size * seq_len)))
    return min(asked, rows)


def count_steps(
    config: TrainConfig, tokens_per_step: int, steps_per_epoch: float, decisions: Decisions, probe: "Probe"
) -> int:
    """Number of updates. Minutes are turned into steps once and recorded."""
    if config.steps is not None:
        return config.steps
    if config.tokens is not None:
        return max(1, config.tokens // tokens_per_step)
    if config.epochs is not None:
        return max(1, round(config.epochs * steps_per_epoch))
    assert config.minutes is not None
    seconds = config.minutes * 60
    return decisions.once("steps", lambda: probe.steps_in(seconds))


class Probe:
    """Times a few real updates on a copy of the model, which is then thrown away, and what interrupts them."""

    def __init__(
        self, stepper: Stepper, batches: BatchSource, micro_rows: int, pauses: int, pause: Callable[[], object]
    ) -> None:
        self._stepper, self._batches, self._micro_rows = stepper, batches, micro_rows
        self._pauses, self._pause = pauses, pause

    def steps_in(self, seconds: float) -> int:
        """Updates that fit in `seconds`, less the time of all pauses (evaluations and samples)."""
        start = time.perf_counter()
        self._pause()
        pauses = self._pauses * (time.perf_counter() - start)
        return max(1, int((seconds - pauses) / self._step_seconds()))

    def _step_seconds(self) -> float:
        """Median time of an update."""
        model = copy.deepcopy(self._stepper.model)
        optimizer = Optimizer(model, self._stepper.optimizer.config)
        stepper = Stepper(model, self._stepper.objective, optimizer, self._stepper.compute)
        times: list[float] = []
        while len(times) < WARM_UP_STEPS + PROBE_MIN_STEPS or sum(times) < PROBE_SECONDS:
            start = time.perf_counter()
            stepper.update(self._batches, len(times), 0.0, self._micro_rows, seed=0)
            times.append(time.perf_counter() - start)
        return statistics.median(times[WARM_UP_STEPS:])
