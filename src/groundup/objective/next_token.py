"""The next-token objective: pretraining, and fine-tuning where only some labels count.

Shapes: B rows, T tokens, V vocabulary.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from groundup.data.batches import IGNORE, Batch


class NextToken:
    """Cross-entropy of each label given the tokens before it.

    `token_bytes` [V] is the length of each token as UTF-8; zero for special tokens, which are not text.
    """

    def __init__(self, token_bytes: npt.NDArray[np.int64]) -> None:
        self._token_bytes = token_bytes

    def weight(self, batch: Batch) -> int:
        """What the sum of losses of a global batch is divided by: its number of valid labels (Law 1)."""
        return batch.n_labels

    def text_bytes(self, batch: Batch) -> int:
        """Bytes of text that the labels stand for: bits per byte compares models of unlike vocabularies."""
        return int(self._token_bytes[batch.labels[batch.labels != IGNORE]].sum())

    def loss(self, model: nn.Module, batch: Batch, device: torch.device) -> Tensor:
        """Sum, not mean, of the losses in nats.

        A mean of the means of micro-batches would weigh tokens by how a batch happened to be split.
        """
        return self._cross_entropy(model, batch, device, "sum")

    @torch.no_grad()
    def losses(self, model: nn.Module, batch: Batch, device: torch.device) -> Tensor:
        """The loss of each label in nats, [B, T]; zero where there is nothing to learn."""
        return self._cross_entropy(model, batch, device, "none").view(batch.labels.shape)

    def _cross_entropy(self, model: nn.Module, batch: Batch, device: torch.device, reduction: str) -> Tensor:
        inputs_BT = torch.from_numpy(batch.inputs).to(device)
        labels_BT = torch.from_numpy(batch.labels).to(device)
        positions_BT, documents_BT = None, None
        if batch.has_borders:  # without borders the kernel's own causal order is enough, and faster
            positions_BT = torch.from_numpy(batch.positions).to(device)
            documents_BT = torch.from_numpy(batch.documents).to(device)
        logits_BTV = model(inputs_BT, positions_BT, documents_BT)
        return F.cross_entropy(
            logits_BTV.flatten(0, 1).float(), labels_BT.flatten(), ignore_index=IGNORE, reduction=reduction
        )
