"""Positions that are added to the embeddings.

Shapes: B batch, T tokens, D width of the model.
"""

import torch
from torch import Tensor, nn

from groundup.model.position.scheme import Position


class LearnedPosition(Position):
    """A vector for each position up to the longest sequence, learned as the embeddings are (Radford et al. 2018)."""

    def __init__(self, max_seq_len: int, d_model: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(max_seq_len, d_model))

    def embed(self, x_BTD: Tensor, positions_BT: Tensor) -> Tensor:
        """x + table[position]."""
        return x_BTD + nn.functional.embedding(positions_BT, self.weight)


class SinusoidalPosition(Position):
    """Sines and cosines of wavelengths from 2π to 10,000 · 2π (Vaswani et al. 2017, section 3.5).

    They have a mean square of one half; the table is scaled to that of embeddings at initialization, which would
    drown in it otherwise.
    """

    frequencies_d: Tensor

    def __init__(self, d_model: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        exponent_d = torch.arange(0, d_model, 2, dtype=torch.float64) / d_model
        self.register_buffer("frequencies_d", (10_000.0**-exponent_d).float(), persistent=False)

    def embed(self, x_BTD: Tensor, positions_BT: Tensor) -> Tensor:
        """x + scale · (sin, cos alternating)."""
        angle_BTd = positions_BT[..., None].float() * self.frequencies_d
        table_BTD = torch.stack((angle_BTd.sin(), angle_BTd.cos()), -1).flatten(-2)[..., : x_BTD.shape[-1]]
        return x_BTD + (self.scale * table_BTD).to(x_BTD.dtype)
