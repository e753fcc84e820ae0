"""What every language model here is to the rest of the program.

Shapes: B batch, T new tokens, D width of the model, V vocabulary.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from groundup.core.device import product_dtype
from groundup.model.config import ModelConfig


class LanguageModel(nn.Module, ABC):
    """Token embedding, something that turns a sequence of vectors into another (`hidden`), and a head.

    Knows nothing of devices, precision or training.
    """

    def __init__(self, config: ModelConfig, vocab_size: int) -> None:
        super().__init__()
        self.config, self.vocab_size = config, vocab_size
        self.embedding = nn.Embedding(vocab_size, config.d_model)
        self.head = nn.Linear(config.d_model, vocab_size, bias=False)
        if config.tie_embeddings:
            self.head.weight = self.embedding.weight

    @property
    @abstractmethod
    def outputs(self) -> Iterable[Tensor]:
        """The matrices that write to the residual stream."""

    @abstractmethod
    def hidden(
        self,
        tokens_BT: Tensor,
        positions_BT: Tensor | None = None,
        documents_BT: Tensor | None = None,
        cache: Any = None,
    ) -> Tensor:
        """What the head sees, [B, T, D]. The arguments are those of `forward`."""

    def embed(self, tokens_BT: Tensor) -> Tensor:
        """The residual stream at its beginning, [B, T, D]."""
        x_BTD = self.embedding(tokens_BT)
        if (scale := self.config.embedding_scale) != 1:
            x_BTD = x_BTD * scale
        return x_BTD.to(product_dtype(x_BTD))  # the residual stream in bf16 too: half the memory to walk through

    def logits(self, x_BTD: Tensor) -> Tensor:
        """The head on what `hidden` gave, [B, T, V], or of some of it, scaled and squeezed as the config says."""
        logits_BTV = self.head(x_BTD)
        if (scale := self.config.output_scale) != 1:
            logits_BTV = logits_BTV * scale
        if cap := self.config.logit_softcap:
            logits_BTV = cap * (logits_BTV / cap).tanh()
        return logits_BTV

    def forward(
        self,
        tokens_BT: Tensor,
        positions_BT: Tensor | None = None,
        documents_BT: Tensor | None = None,
        cache: Any = None,
    ) -> Tensor:
        """Logits of the next token, [B, T, V].

        Positions count from the number of cached tokens unless given. Tokens see earlier tokens of their own
        document only; without document numbers a row is one document. `cache`: what the model keeps of earlier tokens,
        as it needs it (attention.mask.Cache, recurrent.Memory).
        """
        return self.logits(self.hidden(tokens_BT, positions_BT, documents_BT, cache))
