"""Normalization. Every norm is a module from x_...D to the same shape."""

from typing import Any

import torch
from torch import Tensor, nn

from groundup.model.config import ModelConfig


class RMSNorm(nn.Module):
    """x / sqrt(mean(x²) + eps) · weight (Zhang and Sennrich 2019)."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize the last dimension; the result has the type of `x`."""
        return _RMSNorm.apply(x, self.weight, self.eps)  # pyrefly: ignore[bad-return]


class _RMSNorm(torch.autograd.Function):
    """Keeps the type of x and few passes over it; torch's own is composed of many, in fp32 (bench/step.py)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        size = x.shape[-1]
        precise = torch.promote_types(x.dtype, torch.float32)
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=precise)
        scale = length.square_().div_(size).add_(eps).rsqrt_().to(x.dtype)
        normed = x * scale
        ctx.save_for_backward(normed, scale, weight)
        return normed * weight.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        normed, scale, weight = ctx.saved_tensors
        (gradient,) = gradients
        weighted = gradient * weight.to(gradient.dtype)
        # d/dx: scale · (weighted - normed · mean(weighted · normed))
        product = gradient * normed
        along = product @ weight.to(product.dtype)[:, None] / -normed.shape[-1]
        d_weight = product.flatten(0, -2).sum(0, dtype=weight.dtype)
        return torch.addcmul(weighted, normed, along).mul_(scale), d_weight, None


class LayerNorm(nn.Module):
    """(x - mean) / sqrt(variance + eps) · weight + bias (Ba et al. 2016)."""

    def __init__(self, size: int, eps: float, *, bias: bool) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalize the last dimension; the result has the type of `x`."""
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return nn.functional.layer_norm(x, self.weight.shape, self.weight.to(x.dtype), bias, self.eps)


def make_norm(config: ModelConfig, size: int) -> nn.Module:
    """The norm that the config names, over `size` elements."""
    if config.norm == "rmsnorm":
        return RMSNorm(size, config.norm_eps)
    return LayerNorm(size, config.norm_eps, bias=config.norm_bias)
