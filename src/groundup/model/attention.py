"""Causal self-attention with grouped key and value heads.

Shapes: B batch, T new tokens, S tokens to attend to, D width of the model, H query heads, G key/value heads,
K elements of a head.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from groundup.core.device import product_dtype
from groundup.model.config import ModelConfig
from groundup.model.norm import NORMS
from groundup.model.position import Position

# Who may look at whom: bool [B, 1, T, S], or None for plain causal order.
Mask = Tensor | None


class LayerCache(Protocol):
    """Keys and values of earlier tokens of one layer."""

    def append(self, k_BGTK: Tensor, v_BGTK: Tensor) -> tuple[Tensor, Tensor]:
        """Store the new ones; return all so far, [B, G, S, K] each."""
        ...


def sdpa_attention(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask: Mask) -> Tensor:
    """Fused kernel of torch. Without a mask: causal over the same tokens if T = S, all visible if T = 1."""
    causal = mask is None and q_BHTK.shape[2] > 1
    grouped = q_BHTK.shape[1] != k_BGSK.shape[1]
    return F.scaled_dot_product_attention(q_BHTK, k_BGSK, v_BGSK, mask, is_causal=causal, enable_gqa=grouped)


# Above this many tokens the probabilities, which grow with its square, no longer fit a processor's caches.
_BATCHED_MAX_TOKENS = 1024


class _BatchedAttention(torch.autograd.Function):
    """Causal attention as batched matrix products that keep the probabilities for the backward pass.

    On a CPU and at short context this is 2 to 3 times as fast as the fused kernel, whose backward pass computes
    them again (bench/attention.py).
    """

    @staticmethod
    def forward(ctx: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, hidden: Tensor) -> Tensor:
        scale = 1 / math.sqrt(q_BHTK.shape[-1])
        scores_BHTT = (q_BHTK @ k_BHTK.mT).mul_(scale).masked_fill_(hidden, float("-inf"))
        p_BHTT = scores_BHTT.softmax(-1)
        ctx.save_for_backward(q_BHTK, k_BHTK, v_BHTK, p_BHTT)
        ctx.scale = scale
        return p_BHTT @ v_BHTK

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q_BHTK, k_BHTK, v_BHTK, p_BHTT = ctx.saved_tensors
        (g_BHTK,) = gradients
        dp_BHTT = g_BHTK @ v_BHTK.mT
        ds_BHTT = torch._softmax_backward_data(dp_BHTT, p_BHTT, -1, p_BHTT.dtype).mul_(ctx.scale)
        return ds_BHTT @ k_BHTK, ds_BHTT.mT @ q_BHTK, p_BHTT.mT @ g_BHTK, None


def batched_attention(q_BHTK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, mask: Mask) -> Tensor:
    """Attention over the same tokens (T = S) in the type of matrix products that is in force."""
    groups = q_BHTK.shape[1] // k_BGTK.shape[1]
    tokens, dtype = q_BHTK.shape[2], product_dtype(q_BHTK)
    if groups > 1:
        k_BGTK, v_BGTK = k_BGTK.repeat_interleave(groups, 1), v_BGTK.repeat_interleave(groups, 1)
    q, k, v = (x.to(dtype).contiguous() for x in (q_BHTK, k_BGTK, v_BGTK))
    visible = torch.ones(tokens, tokens, dtype=torch.bool, device=q.device).tril() if mask is None else mask
    return _BatchedAttention.apply(q, k, v, ~visible)  # pyrefly: ignore[bad-return]


def fastest_attention(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask: Mask) -> Tensor:
    """The fused kernel, or batched products where they are faster: to train at short context on a CPU."""
    tokens, seen = q_BHTK.shape[2], k_BGSK.shape[2]
    learning = torch.is_grad_enabled() and q_BHTK.requires_grad
    if learning and q_BHTK.device.type == "cpu" and tokens == seen <= _BATCHED_MAX_TOKENS:
        return batched_attention(q_BHTK, k_BGSK, v_BGSK, mask)
    return sdpa_attention(q_BHTK, k_BGSK, v_BGSK, mask)


def plain_attention(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSK: Tensor, mask: Mask) -> Tensor:
    """softmax(Q Kᵀ / sqrt(K) + mask) V (Vaswani et al. 2017, equation 1), written out: the twin of the fused kernel."""
    groups = q_BHTK.shape[1] // k_BGSK.shape[1]
    k_BHSK, v_BHSK = k_BGSK.repeat_interleave(groups, 1), v_BGSK.repeat_interleave(groups, 1)
    scores_BHTS = q_BHTK @ k_BHSK.transpose(-1, -2) / math.sqrt(q_BHTK.shape[-1])
    if mask is None:
        tokens, seen = scores_BHTS.shape[-2:]
        mask = torch.ones(tokens, seen, dtype=torch.bool, device=q_BHTK.device).tril(seen - tokens)
    return scores_BHTS.masked_fill(~mask, float("-inf")).softmax(-1) @ v_BHSK


KERNELS: dict[str, Callable[[Tensor, Tensor, Tensor, Mask], Tensor]] = {
    "fastest": fastest_attention,
    "sdpa": sdpa_attention,
    "plain": plain_attention,
}


class Attention(nn.Module):
    """Queries, keys and values, optional norm of each head, position, attention, output projection."""

    def __init__(self, config: ModelConfig, position: Position) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_size = config.n_heads, config.kv_heads, config.head_size
        self.q = nn.Linear(config.d_model, self.heads * self.head_size, bias=False)
        self.k = nn.Linear(config.d_model, self.kv_heads * self.head_size, bias=False)
        self.v = nn.Linear(config.d_model, self.kv_heads * self.head_size, bias=False)
        self.o = nn.Linear(self.heads * self.head_size, config.d_model, bias=False)
        norm = NORMS[config.norm]
        self.q_norm = norm(self.head_size, config.norm_eps) if config.qk_norm else nn.Identity()
        self.k_norm = norm(self.head_size, config.norm_eps) if config.qk_norm else nn.Identity()
        self._position = position
        self._kernel = KERNELS[config.attention]

    @property
    def output(self) -> nn.Linear:
        """The matrix that writes to the residual stream."""
        return self.o

    def forward(self, x_BTD: Tensor, prepared: tuple[Tensor, Tensor], mask: Mask, cache: LayerCache | None) -> Tensor:
        """Each token looks at those that the mask allows."""
        q_BHTK = self._split(self.q(x_BTD), self.heads)
        k_BGTK = self._split(self.k(x_BTD), self.kv_heads)
        v_BGTK = self._split(self.v(x_BTD), self.kv_heads)
        q_BHTK = self._position.rotate(self.q_norm(q_BHTK), prepared)
        k_BGTK = self._position.rotate(self.k_norm(k_BGTK), prepared)
        k_BGSK, v_BGSK = cache.append(k_BGTK, v_BGTK) if cache else (k_BGTK, v_BGTK)
        out_BHTK = self._kernel(q_BHTK, k_BGSK, v_BGSK, mask)
        return self.o(out_BHTK.transpose(1, 2).flatten(2))

    def _split(self, x_BTD: Tensor, heads: int) -> Tensor:
        return x_BTD.unflatten(-1, (heads, self.head_size)).transpose(1, 2)
