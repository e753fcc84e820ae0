"""The next-token objective: pretraining, and fine-tuning where only some labels count.

Shapes: B rows, T tokens, V vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

IGNORE = -100
"""Label of a position where nothing is to be learned."""


@dataclass(frozen=True)
class TokenBatch:
    """Rows of tokens on a device, each [B, T]; documents is None where every row is one document."""

    inputs_BT: Tensor
    labels_BT: Tensor
    positions_BT: Tensor | None
    documents_BT: Tensor | None


def next_token_loss(model: nn.Module, batch: TokenBatch) -> Tensor:
    """Sum, not mean, of the cross-entropy in nats over all valid labels.

    The caller divides by the number of valid labels of the whole global batch (Law 1): a mean of means would
    weigh tokens by how a batch happened to be split.
    """
    logits_BTV = model(batch.inputs_BT, batch.positions_BT, batch.documents_BT)
    return F.cross_entropy(
        logits_BTV.flatten(0, 1).float(), batch.labels_BT.flatten(), ignore_index=IGNORE, reduction="sum"
    )


@torch.no_grad()
def next_token_losses(model: nn.Module, batch: TokenBatch) -> Tensor:
    """Cross-entropy in nats of each label, [B, T]; zero where ignored."""
    logits_BTV = model(batch.inputs_BT, batch.positions_BT, batch.documents_BT)
    losses = F.cross_entropy(
        logits_BTV.flatten(0, 1).float(), batch.labels_BT.flatten(), ignore_index=IGNORE, reduction="none"
    )
    return losses.view_as(batch.labels_BT)
