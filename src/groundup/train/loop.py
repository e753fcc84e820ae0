"""The one training loop. What is learned, and from what, is handed to it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.core.interrupt import Interrupts
from groundup.core.progress import ProgressTask, Reporter, human_number
from groundup.model.store import load_weights, weights
from groundup.optim.schedule import lr_factor
from groundup.train.budget import Plan
from groundup.train.checkpoint import Checkpoint, CheckpointFolder
from groundup.train.config import TrainConfig
from groundup.train.metrics import MetricsLog
from groundup.train.step import BatchSource, Stepper, StepResult

METRICS, SAMPLES, CHECKPOINTS = "metrics.jsonl", "samples.jsonl", "checkpoints"


@dataclass(frozen=True)
class Hooks:
    """What the loop calls and does not know."""

    evaluate: Callable[[], dict[str, float]]
    """Held-out scores of the model as it is now."""
    sample: Callable[[int], dict[str, Any]]
    """A text by the model as it is now, after so many steps."""


@dataclass(frozen=True)
class Speed:
    """What turns tokens per second into a share of what the machine could do."""

    flops_per_token: float
    peak_flops: float

    def mfu(self, tokens_per_second: float) -> float:
        """Model FLOPs utilization."""
        return tokens_per_second * self.flops_per_token / self.peak_flops


class Trainer:
    """Runs a plan from wherever its folder says that it stands."""

    def __init__(self, stepper: Stepper, batches: BatchSource, config: TrainConfig, plan: Plan, folder: Path) -> None:
        self._stepper, self._batches, self._config, self._plan = stepper, batches, config, plan
        self._metrics, self._samples = MetricsLog(folder / METRICS), MetricsLog(folder / SAMPLES)
        self._checkpoints = CheckpointFolder(folder / CHECKPOINTS, config.keep_checkpoints)
        self._step, self._seconds = 0, 0.0

    def run(self, seed: int, hooks: Hooks, speed: Speed, reporter: Reporter, interrupts: Interrupts) -> float:
        """Train to the end of the plan; returns the seconds it took, over all attempts.

        Ctrl-C and SIGTERM are answered between two steps, after a checkpoint.
        """
        self._resume(reporter)
        last_save = time.perf_counter()
        with interrupts.deferred(), reporter.task("training", self._plan.steps, "steps") as task:
            task.skip(self._step)
            while self._step < self._plan.steps:
                start = time.perf_counter()
                self._train_one(seed, speed, task)
                self._maybe_evaluate(hooks, reporter)
                self._seconds += time.perf_counter() - start
                due = time.perf_counter() - last_save >= self._config.checkpoint_seconds
                if due or interrupts.requested or self._step == self._plan.steps:
                    self._save()
                    last_save = time.perf_counter()
                interrupts.check()
        return self._seconds

    def _train_one(self, seed: int, speed: Speed, task: ProgressTask) -> None:
        start = time.perf_counter()
        lr = self._config.lr * lr_factor(self._config, self._step, self._plan.steps)
        result = self._stepper.update(self._batches, self._step, lr, self._plan.micro_rows, seed)
        self._step += 1
        seconds = time.perf_counter() - start
        record = self._record(result, lr, seconds, speed)
        self._metrics.append(record)
        task.advance(1, _progress_note(record))

    def _record(self, result: StepResult, lr: float, seconds: float, speed: Speed) -> dict[str, Any]:
        tokens_per_second = self._plan.tokens_per_step / seconds
        auxiliary = {} if result.auxiliary_loss is None else {"auxiliary_loss": result.auxiliary_loss}
        return {
            "step": self._step,
            "tokens": self._step * self._plan.tokens_per_step,
            "loss": result.loss,
            **auxiliary,
            "bits_per_byte": result.bits_per_byte,
            "labels": result.weight,
            "lr": lr,
            "grad_norm": result.grad_norm,
            **result.experts,
            "tokens_per_second": tokens_per_second,
            "mfu": speed.mfu(tokens_per_second),
            "data_wait": result.data_seconds / seconds,
            "seconds": self._seconds + seconds,
        }

    def _maybe_evaluate(self, hooks: Hooks, reporter: Reporter) -> None:
        """Evaluate at even distances, and at the end."""
        times = self._config.evaluations
        if times == 0 or self._step * times // self._plan.steps == (self._step - 1) * times // self._plan.steps:
            return
        scores = hooks.evaluate()
        tokens = self._step * self._plan.tokens_per_step
        self._metrics.append({"step": self._step, "tokens": tokens, **scores})
        sample = hooks.sample(self._step)
        self._samples.append({"step": self._step, **sample})
        told = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in scores.items())
        reporter.say(f"  step {self._step}/{self._plan.steps}: {told}")

    def _save(self) -> None:
        optimizer = self._stepper.optimizer.state()
        self._checkpoints.save(Checkpoint(self._step, self._seconds, weights(self._stepper.model), optimizer))

    def _resume(self, reporter: Reporter) -> None:
        checkpoint = self._checkpoints.latest()
        if checkpoint:
            load_weights(self._stepper.model, checkpoint.model)
            self._stepper.optimizer.load_state(checkpoint.optimizer)
            self._step, self._seconds = checkpoint.step, checkpoint.seconds
            reporter.say(f"  going on from step {self._step} of {self._plan.steps}")
        self._metrics.rewind(self._step)
        self._samples.rewind(self._step)


def _progress_note(record: dict[str, Any]) -> str:
    return (
        f"loss {record['loss']:.3f}, {record['bits_per_byte']:.3f} bits/byte, "
        f"{human_number(record['tokens_per_second'])} tok/s, MFU {record['mfu']:.0%}, "
        f"data wait {record['data_wait']:.1%}"
    )
