"""The product of attention: queries against keys, softmax, values. One function a way to compute it.

Shapes: B batch, T new tokens, S tokens to attend to, H query heads, G key/value heads, K elements of a query or key
head, V elements of a value head.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from groundup.core.device import product_dtype
from groundup.model.attention.mask import Mask


class Scoring(NamedTuple):
    """How the products of queries and keys become logits."""

    scale: float
    """Factor of the products."""
    softcap: float = 0.0
    """Logits are squeezed to ± this by tanh; 0: they are not."""
    sinks: Tensor | None = None
    """[H], a logit for each head that stands for no token: what it takes is given to none."""

    @property
    def is_plain(self) -> bool:
        """Whether a factor is all, as the fused kernels have it."""
        return not self.softcap and self.sinks is None


Kernel = Callable[[Tensor, Tensor, Tensor, Mask, Scoring], Tensor]


def plain_attention(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, mask: Mask, scoring: Scoring) -> Tensor:
    """softmax(scale · Q Kᵀ + mask) V (Vaswani et al. 2017, equation 1), written out: the twin of the fused kernels."""
    k_BHSK, v_BHSV = _one_per_query_head(q_BHTK, k_BGSK, v_BGSV)
    logits_BHTS = q_BHTK @ k_BHSK.mT * scoring.scale
    if scoring.softcap:
        logits_BHTS = scoring.softcap * (logits_BHTS / scoring.softcap).tanh()
    if mask is None:
        tokens, seen = logits_BHTS.shape[-2:]
        mask = torch.ones(tokens, seen, dtype=torch.bool, device=q_BHTK.device).tril(seen - tokens)
    is_bool = mask.dtype == torch.bool
    logits_BHTS = logits_BHTS.masked_fill(~mask, float("-inf")) if is_bool else logits_BHTS + mask
    if scoring.sinks is None:
        return logits_BHTS.softmax(-1) @ v_BHSV
    sinks_BHT1 = scoring.sinks.to(logits_BHTS.dtype)[None, :, None, None].expand(*logits_BHTS.shape[:3], 1)
    return torch.cat((logits_BHTS, sinks_BHT1), -1).softmax(-1)[..., :-1] @ v_BHSV


def sdpa_attention(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, mask: Mask, scoring: Scoring) -> Tensor:
    """Fused kernel of torch; it has no soft-cap and no sinks, which are computed as the formula says."""
    if not scoring.is_plain:
        return plain_attention(q_BHTK, k_BGSK, v_BGSV, mask, scoring)
    causal = mask is None and q_BHTK.shape[2] > 1
    grouped = q_BHTK.shape[1] != k_BGSK.shape[1]
    if mask is not None and mask.dtype != torch.bool:
        mask = mask.to(q_BHTK.dtype)
    return F.scaled_dot_product_attention(
        q_BHTK, k_BGSK, v_BGSV, mask, is_causal=causal, scale=scoring.scale, enable_gqa=grouped
    )


# Above this many tokens the probabilities, which grow with its square, no longer fit a processor's caches.
_BATCHED_MAX_TOKENS = 1024


class _BatchedAttention(torch.autograd.Function):
    """Attention as batched matrix products that keep the probabilities for the backward pass.

    On a CPU and at short context this is 2 to 3 times as fast as the fused kernel, whose backward pass computes
    them again (bench/attention.py).
    """

    @staticmethod
    def forward(ctx: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTV: Tensor, mask: Tensor, scale: float) -> Tensor:
        logits_BHTT = (q_BHTK @ k_BHTK.mT).mul_(scale)
        if mask.dtype == torch.bool:
            logits_BHTT.masked_fill_(~mask, float("-inf"))
        else:
            logits_BHTT.add_(mask)
        p_BHTT = logits_BHTT.softmax(-1)
        ctx.save_for_backward(q_BHTK, k_BHTK, v_BHTV, p_BHTT)
        ctx.scale = scale
        return p_BHTT @ v_BHTV

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        q_BHTK, k_BHTK, v_BHTV, p_BHTT = ctx.saved_tensors
        (g_BHTV,) = gradients
        dp_BHTT = g_BHTV @ v_BHTV.mT
        ds_BHTT = torch._softmax_backward_data(dp_BHTT, p_BHTT, -1, p_BHTT.dtype).mul_(ctx.scale)
        return ds_BHTT @ k_BHTK, ds_BHTT.mT @ q_BHTK, p_BHTT.mT @ g_BHTV, None, None


def batched_attention(q_BHTK: Tensor, k_BGTK: Tensor, v_BGTV: Tensor, mask: Mask, scoring: Scoring) -> Tensor:
    """Attention over the same tokens (T = S) in the type of matrix products that is in force."""
    assert scoring.is_plain
    tokens, dtype = q_BHTK.shape[2], product_dtype(q_BHTK)
    k_BHTK, v_BHTV = _one_per_query_head(q_BHTK, k_BGTK, v_BGTV)
    q, k, v = (x.to(dtype).contiguous() for x in (q_BHTK, k_BHTK, v_BHTV))
    if mask is None:
        mask = torch.ones(tokens, tokens, dtype=torch.bool, device=q.device).tril()
    return _BatchedAttention.apply(q, k, v, mask, scoring.scale)  # pyrefly: ignore[bad-return]


def fastest_attention(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, mask: Mask, scoring: Scoring) -> Tensor:
    """The fused kernel, or batched products where they are faster: to train at short context on a CPU."""
    tokens, seen = q_BHTK.shape[2], k_BGSK.shape[2]
    learning = torch.is_grad_enabled() and q_BHTK.requires_grad
    short = q_BHTK.device.type == "cpu" and tokens == seen <= _BATCHED_MAX_TOKENS
    if learning and short and scoring.is_plain:
        return batched_attention(q_BHTK, k_BGSK, v_BGSV, mask, scoring)
    return sdpa_attention(q_BHTK, k_BGSK, v_BGSV, mask, scoring)


def _one_per_query_head(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor) -> tuple[Tensor, Tensor]:
    groups = q_BHTK.shape[1] // k_BGSK.shape[1]
    if groups == 1:
        return k_BGSK, v_BGSV
    return k_BGSK.repeat_interleave(groups, 1), v_BGSV.repeat_interleave(groups, 1)


KERNELS: dict[str, Kernel] = {
    "fastest": fastest_attention,
    "sdpa": sdpa_attention,
    "plain": plain_attention,
}
