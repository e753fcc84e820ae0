"""How a token knows where it stands.

Shapes: B batch, T tokens, H heads, K elements of a head.
"""

from typing import Protocol

import torch
from torch import Tensor, nn


class Position(Protocol):
    """A position scheme: prepares what depends on the positions alone once, then is applied in every block."""

    def prepare(self, positions_BT: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """What `rotate` needs for these positions."""
        ...

    def rotate(self, x_BHTK: Tensor, prepared: tuple[Tensor, Tensor]) -> Tensor:
        """Queries or keys with their position in them."""
        ...


class Rope(nn.Module):
    """Rotary embedding (Su et al. 2021): pair i of a head turns by the angle position · theta^(-2i/K).

    Pairs are (i, i + K/2), the half-split convention of GPT-NeoX and of Hugging Face's Llama.
    """

    frequencies_k: Tensor

    def __init__(self, head_size: int, theta: float) -> None:
        super().__init__()
        exponent_k = torch.arange(0, head_size, 2, dtype=torch.float64) / head_size
        self.register_buffer("frequencies_k", (theta**-exponent_k).float(), persistent=False)

    def prepare(self, positions_BT: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Cosines and sines, each [B, 1, T, K]; the sign of the rotation is in the sines."""
        angle_BTk = positions_BT[..., None].float() * self.frequencies_k
        cos, sin = angle_BTk.cos(), angle_BTk.sin()
        cos_BTK, sin_BTK = torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1)
        return cos_BTK[:, None].to(dtype), sin_BTK[:, None].to(dtype)

    def rotate(self, x_BHTK: Tensor, prepared: tuple[Tensor, Tensor]) -> Tensor:
        """x · cos + swapped halves of x · sin."""
        cos, sin = prepared
        first, second = x_BHTK.chunk(2, dim=-1)
        return x_BHTK * cos + torch.cat((second, first), -1) * sin
