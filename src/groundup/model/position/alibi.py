"""Attention with linear biases.

Shapes: H heads, T new tokens, S tokens to attend to.
"""

import math

import torch
from torch import Tensor

from groundup.model.position.scheme import Position


class Alibi(Position):
    """The further away a key is, the less it counts, in each head at another rate (Press et al. 2021)."""

    slopes: Tensor

    def __init__(self, n_heads: int) -> None:
        super().__init__()
        self.register_buffer("slopes", torch.tensor(alibi_slopes(n_heads)), persistent=False)

    def bias(self, distance_TS: Tensor) -> Tensor:
        """-slope · distance, [H, T, S]."""
        return -self.slopes[:, None, None] * distance_TS


def alibi_slopes(n_heads: int) -> list[float]:
    """2^(-8/n), 2^(-16/n), … for n a power of two; for others, those of the next smaller power and, between them,
    every other one of twice that (the authors' implementation)."""
    below = 2 ** math.floor(math.log2(n_heads))
    slopes = [2 ** (-8 * (i + 1) / below) for i in range(below)]
    between = [2 ** (-8 * (i + 1) / (2 * below)) for i in range(0, 2 * below, 2)]
    return slopes + between[: n_heads - below]
