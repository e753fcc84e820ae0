"""Blocks: attention and feed-forward around the residual stream, one class for each way to normalize.

Shapes: B batch, T new tokens, D width of the model.
"""

import torch
from torch import Tensor, nn

from groundup.model.attention.grouped import Attention
from groundup.model.attention.latent import LatentAttention
from groundup.model.attention.mask import LayerCache, Sight
from groundup.model.config import ModelConfig
from groundup.model.feedforward import FeedForward
from groundup.model.moe.mixture import Mixture
from groundup.model.norm import make_norm
from groundup.model.position.scheme import Position


class Block(nn.Module):
    """x + attention(norm(x)), then x + feedforward(norm(x)): norms before the sublayers (Radford et al. 2019)."""

    def __init__(self, config: ModelConfig, layer: int, position: Position) -> None:
        super().__init__()
        self.attention_norm = make_norm(config, config.d_model)
        self.attention = (LatentAttention if config.latent else Attention)(config, position)
        if config.residual != "parallel":
            self.feedforward_norm = make_norm(config, config.d_model)
        self.feedforward = _make_feedforward(config, layer)
        self._scale = config.residual_scale

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The matrices that write to the residual stream."""
        return (*self.attention.outputs, *self.feedforward.outputs)

    def forward(self, x_BTD: Tensor, sight: Sight, cache: LayerCache | None) -> Tensor:
        """One block."""
        x_BTD = self._add(x_BTD, self.attention(self.attention_norm(x_BTD), sight, cache))
        return self._add(x_BTD, self.feedforward(self.feedforward_norm(x_BTD)))

    def _add(self, x_BTD: Tensor, change_BTD: Tensor) -> Tensor:
        return torch.add(x_BTD, change_BTD, alpha=self._scale)


class PostNormBlock(Block):
    """norm(x + attention(x)), then norm(x + feedforward(x)): the first Transformer (Vaswani et al. 2017)."""

    def forward(self, x_BTD: Tensor, sight: Sight, cache: LayerCache | None) -> Tensor:
        """One block."""
        x_BTD = self.attention_norm(self._add(x_BTD, self.attention(x_BTD, sight, cache)))
        return self.feedforward_norm(self._add(x_BTD, self.feedforward(x_BTD)))


class SandwichBlock(Block):
    """x + norm(attention(norm(x))), then the same of the feed-forward (Ding et al. 2021; Gemma 2)."""

    def __init__(self, config: ModelConfig, layer: int, position: Position) -> None:
        super().__init__(config, layer, position)
        self.attention_output_norm = make_norm(config, config.d_model)
        self.feedforward_output_norm = make_norm(config, config.d_model)

    def forward(self, x_BTD: Tensor, sight: Sight, cache: LayerCache | None) -> Tensor:
        """One block."""
        attended_BTD = self.attention(self.attention_norm(x_BTD), sight, cache)
        x_BTD = self._add(x_BTD, self.attention_output_norm(attended_BTD))
        return self._add(x_BTD, self.feedforward_output_norm(self.feedforward(self.feedforward_norm(x_BTD))))


class ParallelBlock(Block):
    """x + attention(norm(x)) + feedforward(norm(x)), of one and the same norm (Wang and Komatsuzaki 2021, GPT-J)."""

    def forward(self, x_BTD: Tensor, sight: Sight, cache: LayerCache | None) -> Tensor:
        """One block."""
        normed_BTD = self.attention_norm(x_BTD)
        return self._add(x_BTD, self.attention(normed_BTD, sight, cache) + self.feedforward(normed_BTD))


_BLOCKS = {"pre": Block, "post": PostNormBlock, "sandwich": SandwichBlock, "parallel": ParallelBlock}


def make_block(config: ModelConfig, layer: int, position: Position) -> Block:
    """The block of a layer, as the config says."""
    return _BLOCKS[config.residual](config, layer, position)


def _make_feedforward(config: ModelConfig, layer: int) -> FeedForward | Mixture:
    if config.has_experts(layer):
        return Mixture(config)
    return FeedForward(config.d_model, config.ff_width, config.feedforward, bias=config.feedforward_bias)
