"""One update of the weights: forward and backward over the micro-batches of a global batch, clip, step."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from groundup.core.device import Compute
from groundup.core.errors import UserError
from groundup.core.rng import derive_seed
from groundup.model.moe.balance import finish_step
from groundup.optim.optimizer import Optimizer


class Loss(Protocol):
    """Sums over (a part of) a batch."""

    @property
    def main(self) -> Tensor:
        """The loss that is told."""
        ...

    @property
    def auxiliary(self) -> Tensor | None:
        """What is learned beside it."""
        ...


class Objective(Protocol):
    """What is learned."""

    def weight(self, batch: Any) -> int:
        """What the sum of losses over a global batch is divided by."""
        ...

    def loss(self, model: Any, batch: Any, device: torch.device) -> Loss:
        """The losses over (a part of) a batch."""
        ...

    def text_bytes(self, batch: Any) -> int:
        """Bytes of text that are predicted."""
        ...


class BatchSource(Protocol):
    """Batches by number (Law 2)."""

    rows_per_batch: int

    def slice(self, step: int, start: int, stop: int) -> Any:
        """Rows start ≤ row < stop of batch `step`."""
        ...


@dataclass(frozen=True)
class StepResult:
    """What one update tells."""

    loss: float
    """Mean over the valid labels of the global batch, nats; 0 if there were none."""
    weight: int
    """Valid labels."""
    text_bytes: int
    """Bytes of text that they stand for."""
    grad_norm: float
    data_seconds: float
    """Time that the computation waited for data."""
    auxiliary_loss: float | None = None
    """What was learned beside the loss, over the same number of labels; None if there was nothing."""
    experts: Mapping[str, float] = field(default_factory=dict)
    """How evenly experts were busy: `moe_…`, see `finish_step`. Empty for a model without any."""

    @property
    def bits_per_byte(self) -> float:
        """The loss in bits, over the bytes of text that were predicted."""
        return self.loss * self.weight / math.log(2) / self.text_bytes if self.text_bytes else 0.0


class Stepper:
    """Updates a model. Holds no state but the model's and the optimizer's."""

    def __init__(self, model: nn.Module, objective: Objective, optimizer: Optimizer, compute: Compute) -> None:
        self.model, self.objective, self.optimizer, self.compute = model, objective, optimizer, compute

    def update(self, batches: BatchSource, step: int, lr: float, micro_rows: int, seed: int) -> StepResult:
        """Learn from batch `step`. A batch without a single valid label changes nothing.

        Raises UserError if loss or gradient are not finite; the weights are then those of the step before.
        """
        torch.manual_seed(derive_seed(seed, "step", step))  # randomness, too, is a function of the step alone
        start = time.perf_counter()
        rows = batches.rows_per_batch
        parts = [batches.slice(step, i, min(i + micro_rows, rows)) for i in range(0, rows, micro_rows)]
        data_seconds = time.perf_counter() - start
        weight = sum(self.objective.weight(part) for part in parts)
        if weight == 0:
            return StepResult(0.0, 0, 0, 0.0, data_seconds)
        losses = [self._accumulate(part, weight) for part in parts if self.objective.weight(part)]
        loss = sum(main for main, _ in losses)
        others = [other for _, other in losses if other is not None]
        norm = self.optimizer.clip().item()
        if not all(map(math.isfinite, (loss, norm, *others))):
            raise UserError(
                f"training broke at step {step}: loss {loss}, length of the gradient {norm}",
                "lower lr or raise warmup_steps; the last checkpoint is kept",
            )
        self.optimizer.step(lr)
        experts = finish_step(self.model)
        text_bytes = sum(self.objective.text_bytes(part) for part in parts)
        return StepResult(loss, weight, text_bytes, norm, data_seconds, sum(others) if others else None, experts)

    def _accumulate(self, part: Any, weight: int) -> tuple[float, float | None]:
        """Add the gradient of one micro-batch; returns its share of the mean loss, and of the auxiliary one."""
        with self.compute.autocast():
            loss = self.objective.loss(self.model, part, self.compute.device)
        main = loss.main / weight
        if loss.auxiliary is None:
            main.backward()
            return main.item(), None
        auxiliary = loss.auxiliary / weight
        (main + auxiliary).backward()
        return main.item(), auxiliary.item()
