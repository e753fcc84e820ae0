"""The next-token objective: pretraining, and fine-tuning where only some labels count.

Shapes: B rows, T tokens, D width of the model, V vocabulary.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from groundup.data.batches import IGNORE, Batch
from groundup.model.language_model import LanguageModel
from groundup.model.moe.balance import take_auxiliary_loss
from groundup.model.transformer import Transformer
from groundup.objective.loss import Loss


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

    def loss(self, model: LanguageModel, batch: Batch, device: torch.device) -> Loss:
        """Sums, not means, of the losses in nats; auxiliary ones only where there are gradients.

        A mean of the means of micro-batches would weigh tokens by how a batch happened to be split.
        """
        inputs = _Inputs(batch, device)
        if not torch.is_grad_enabled():
            return Loss(_cross_entropy(model(*inputs.arguments), inputs.labels_BT, "sum"))
        if isinstance(model, Transformer) and model.predictors:
            return _loss_ahead(model, inputs)
        main = _cross_entropy(model(*inputs.arguments), inputs.labels_BT, "sum")
        return Loss(main, take_auxiliary_loss(model, inputs.labels_BT != IGNORE))

    @torch.no_grad()
    def losses(self, model: LanguageModel, batch: Batch, device: torch.device) -> Tensor:
        """The loss of each label in nats, [B, T]; zero where there is nothing to learn."""
        inputs = _Inputs(batch, device)
        return _cross_entropy(model(*inputs.arguments), inputs.labels_BT, "none").view(batch.labels.shape)


class _Inputs:
    """A batch on the device."""

    def __init__(self, batch: Batch, device: torch.device) -> None:
        self.tokens_BT, self.labels_BT = (torch.from_numpy(a).to(device) for a in (batch.inputs, batch.labels))
        self.positions_BT, self.documents_BT = None, None
        if batch.has_borders:  # without borders the kernel's own causal order is enough, and faster
            self.positions_BT = torch.from_numpy(batch.positions).to(device)
            self.documents_BT = torch.from_numpy(batch.documents).to(device)

    @property
    def arguments(self) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """What a model is called with."""
        return self.tokens_BT, self.positions_BT, self.documents_BT


def labels_ahead(labels_BT: Tensor, documents_BT: Tensor | None, depth: int) -> Tensor:
    """The label that stands `depth` places further, [B, T]; IGNORE where row or document end before it."""
    ahead_BT = torch.full_like(labels_BT, IGNORE)
    ahead_BT[:, :-depth] = labels_BT[:, depth:]
    if documents_BT is not None:
        ahead_BT[:, :-depth][documents_BT[:, :-depth] != documents_BT[:, depth:]] = IGNORE
    return ahead_BT


def _loss_ahead(model: Transformer, inputs: _Inputs) -> Loss:
    """Of the next token, and of tokens further ahead (DeepSeek-AI 2024, DeepSeek-V3, equations 24 and 25)."""
    hidden_BTD = model.hidden(*inputs.arguments)
    main = _cross_entropy(model.logits(hidden_BTD), inputs.labels_BT, "sum")
    auxiliary = [take_auxiliary_loss(model, inputs.labels_BT != IGNORE)]
    logits = model.predict_ahead(hidden_BTD, *inputs.arguments)
    for depth, (predictor, logits_BTV) in enumerate(zip(model.predictors, logits, strict=True), 1):
        labels_BT = labels_ahead(inputs.labels_BT, inputs.documents_BT, depth)
        auxiliary.append(_cross_entropy(logits_BTV, labels_BT, "sum") * (model.config.predict_weight / len(logits)))
        # Experts of a predictor count the places that it learns from. Those of the model were taken before it ran.
        auxiliary.append(take_auxiliary_loss(predictor, labels_BT != IGNORE))
    return Loss(main, torch.stack([loss for loss in auxiliary if loss is not None]).sum())


def _cross_entropy(logits_BTV: Tensor, labels_BT: Tensor, reduction: str) -> Tensor:
    return F.cross_entropy(
        logits_BTV.flatten(0, 1).float(), labels_BT.flatten(), ignore_index=IGNORE, reduction=reduction
    )
