"""Rotary positions.

Shapes: B batch, T tokens, H heads, K elements of a head, R of them that turn.
"""

from typing import Literal

import torch
from torch import Tensor

from groundup.model.parts import RopeScaling
from groundup.model.position.rope_scaling import scaled_frequencies, temperature
from groundup.model.position.scheme import Position, Rotation


class Rope(Position):
    """Rotary embedding (Su et al. 2021): pair i of a head turns by the angle position · theta^(-2i/R).

    Pairs are (i, i + R/2), "half", the convention of GPT-NeoX and of Hugging Face's Llama, or (2i, 2i + 1),
    "interleaved", that of the paper. Elements from R on do not turn.
    """

    frequencies_r: Tensor

    def __init__(
        self,
        rotary_size: int,
        theta: float,
        pairing: Literal["half", "interleaved"] = "half",
        scaling: RopeScaling | None = None,
    ) -> None:
        super().__init__()
        self.rotary_size, self.pairing = rotary_size, pairing
        self.temperature = temperature(scaling)
        frequencies_r = scaled_frequencies(rotary_size, theta, scaling).float()
        self.register_buffer("frequencies_r", frequencies_r, persistent=False)

    def prepare(self, positions_BT: Tensor, dtype: torch.dtype) -> Rotation:
        """Cosines and sines, each [B, 1, T, R]; the sign of the rotation is in the sines."""
        angle_BTr = positions_BT[..., None].float() * self.frequencies_r
        cos, sin = angle_BTr.cos() * self.temperature, angle_BTr.sin() * self.temperature
        if self.pairing == "half":
            cos_BTR, sin_BTR = torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1)
        else:
            cos_BTR, sin_BTR = cos.repeat_interleave(2, -1), torch.stack((-sin, sin), -1).flatten(-2)
        return cos_BTR[:, None].to(dtype), sin_BTR[:, None].to(dtype)

    def rotate(self, x_BHTK: Tensor, rotation: Rotation | None) -> Tensor:
        """x · cos + x with the elements of each pair swapped · sin."""
        assert rotation is not None
        if self.rotary_size == x_BHTK.shape[-1]:
            return self._turn(x_BHTK, *rotation)
        turning, still = x_BHTK.split((self.rotary_size, x_BHTK.shape[-1] - self.rotary_size), -1)
        return torch.cat((self._turn(turning, *rotation), still), -1)

    def _turn(self, x_BHTR: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        if self.pairing == "half":
            first, second = x_BHTR.chunk(2, dim=-1)
            swapped = torch.cat((second, first), -1)
        else:
            swapped = x_BHTR.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
        return x_BHTR * cos + swapped * sin
