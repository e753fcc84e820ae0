"""What every position scheme can do. A scheme overrides what it is about; this one, which does nothing, is "none".

Shapes: B batch, T new tokens, S tokens to attend to, D width of the model, H heads, K elements of a head.
"""

import torch
from torch import Tensor, nn

# What `rotate` needs: cosines and sines, [B, 1, T, K] each.
Rotation = tuple[Tensor, Tensor]


class Position(nn.Module):
    """No positions: order is known by the causal mask alone (Haviv et al. 2022)."""

    def embed(self, x_BTD: Tensor, positions_BT: Tensor) -> Tensor:
        """Embeddings with their positions in them."""
        return x_BTD

    def prepare(self, positions_BT: Tensor, dtype: torch.dtype) -> Rotation | None:
        """What depends on the positions alone, made once for all blocks."""
        return None

    def rotate(self, x_BHTK: Tensor, rotation: Rotation | None) -> Tensor:
        """Queries or keys with their position in them."""
        return x_BHTK

    def bias(self, distance_TS: Tensor) -> Tensor | None:
        """What is added to attention logits, [H, T, S], for keys so many tokens before the query."""
        return None
