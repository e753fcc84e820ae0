"""What every kind of attention has: a kernel, and how products become logits.

Shapes: B batch, T new tokens, S tokens to attend to, H query heads, G key/value heads, K elements of a query or key
head, V elements of a value head.
"""

import torch
from torch import Tensor, nn

from groundup.model.attention.kernels import KERNELS, Scoring
from groundup.model.attention.mask import Mask
from groundup.model.config import ModelConfig


class ScoredAttention(nn.Module):
    """The part behind queries, keys and values; final classes make these. Sinks: OpenAI 2025."""

    o: nn.Linear

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.sinks = nn.Parameter(torch.zeros(config.n_heads)) if config.attention_sinks else None
        self._kernel = KERNELS[config.attention]
        self._scale, self._softcap = config.score_scale, config.attention_softcap

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The matrix that writes to the residual stream."""
        return (self.o.weight,)

    def look(self, q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, mask: Mask) -> Tensor:
        """What each query finds, [B, H, T, V]."""
        return self._kernel(q_BHTK, k_BGSK, v_BGSV, mask, Scoring(self._scale, self._softcap, self.sinks))
