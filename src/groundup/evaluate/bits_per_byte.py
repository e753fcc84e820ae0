"""Bits per byte of held-out text: the measure that models with unlike vocabularies, and compressors, share."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from groundup.core.device import Compute
from groundup.core.progress import ProgressTask
from groundup.data.batches import Batch, Rows, stack_rows
from groundup.model.language_model import LanguageModel
from groundup.objective.next_token import NextToken

ROWS_PER_BATCH = 16


@dataclass(frozen=True)
class Score:
    """Sums over the labels that were scored."""

    nats: float
    labels: int
    text_bytes: int

    @property
    def loss(self) -> float:
        """Mean cross-entropy of a label, nats."""
        return self.nats / max(1, self.labels)

    @property
    def bits_per_byte(self) -> float:
        """Sum of the cross-entropy in bits, over the bytes of UTF-8 text that the labels stand for."""
        return self.nats / math.log(2) / max(1, self.text_bytes)


@torch.no_grad()
def held_out_score(
    model: LanguageModel,
    objective: NextToken,
    rows: Rows,
    compute: Compute,
    max_rows: int | None = None,
    task: ProgressTask | None = None,
) -> Score:
    """Score every row, or at most `max_rows` of them evenly spread."""
    count = min(len(rows), max_rows or len(rows))
    chosen = np.linspace(0, len(rows) - 1, count).round().astype(int)
    nats, labels, text_bytes = 0.0, 0, 0
    for start in range(0, count, ROWS_PER_BATCH):
        batch: Batch = stack_rows([rows.row(i) for i in chosen[start : start + ROWS_PER_BATCH].tolist()])
        with compute.autocast():
            nats += objective.loss(model, batch, compute.device).main.item()
        labels += objective.weight(batch)
        text_bytes += objective.text_bytes(batch)
        if task:
            task.advance(len(batch.labels))
    return Score(nats, labels, text_bytes)
