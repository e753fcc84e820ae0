"""A decoder-only Transformer that reads top to bottom.

Shapes: B batch, T new tokens, D width of the model, V vocabulary.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from groundup.model.attention.mask import Cache, Sight, Visibility
from groundup.model.block import Block, make_block
from groundup.model.config import ModelConfig
from groundup.model.language_model import LanguageModel
from groundup.model.norm import make_norm
from groundup.model.position.choose import choose_local_position, choose_position
from groundup.model.position.scheme import Position
from groundup.model.predictor import Predictor


class Transformer(LanguageModel):
    """Token embedding, blocks, norm, head; and modules that predict further ahead, where the config asks for them."""

    def __init__(self, config: ModelConfig, vocab_size: int) -> None:
        super().__init__(config, vocab_size)
        self.position = choose_position(config)
        self.local_position = choose_local_position(config)
        self.blocks = nn.ModuleList(
            make_block(config, layer, self._position_of(config.is_local(layer))) for layer in range(config.n_layers)
        )
        has_norm = config.residual != "post"  # whose blocks end with one
        self.norm = make_norm(config, config.d_model) if has_norm else nn.Identity()
        last = self._position_of(config.is_local(config.n_layers - 1))
        self.predictors = nn.ModuleList(Predictor(config, last) for _ in range(config.n_predict))

    @property
    def outputs(self) -> Iterator[Tensor]:
        """The matrices that write to the residual stream."""
        for module in self.modules():
            if isinstance(module, Block):
                yield from module.outputs

    def hidden(
        self,
        tokens_BT: Tensor,
        positions_BT: Tensor | None = None,
        documents_BT: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """What the head sees, [B, T, D]."""
        past = cache.length if cache else 0
        if positions_BT is None:
            positions_BT = torch.arange(past, past + tokens_BT.shape[1], device=tokens_BT.device)[None]
        x_BTD = self.position.embed(self.embed(tokens_BT), positions_BT)
        visibility = Visibility(tokens_BT.shape[1], documents_BT, cache, tokens_BT.device)
        sights = {
            is_local: self._sight(is_local, positions_BT, visibility, x_BTD.dtype)
            for is_local in {self.config.is_local(layer) for layer in range(self.config.n_layers)}
        }
        for index, block in enumerate(self.blocks):
            x_BTD = block(x_BTD, sights[self.config.is_local(index)], cache.layers[index] if cache else None)
        return self.norm(x_BTD)

    def predict_ahead(
        self,
        hidden_BTD: Tensor,
        tokens_BT: Tensor,
        positions_BT: Tensor | None = None,
        documents_BT: Tensor | None = None,
    ) -> list[Tensor]:
        """Logits [B, T, V] of the tokens 2, 3, … places after each, one of each predictor.

        Predictor d at place t reads what the one before it made at t (the first: `hidden_BTD`) and the embedding of
        token t + d. Its logits at the last d places of a row, and of a document, mean nothing.
        """
        if positions_BT is None:
            positions_BT = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)[None]
        visibility = Visibility(tokens_BT.shape[1], documents_BT, None, tokens_BT.device)
        sight = self._sight(self.config.is_local(self.config.n_layers - 1), positions_BT, visibility, hidden_BTD.dtype)
        made = []
        for depth, predictor in enumerate(self.predictors, 1):
            hidden_BTD, normed_BTD = predictor(hidden_BTD, self.embed(tokens_BT.roll(-depth, 1)), sight)
            made.append(self.logits(normed_BTD))
        return made

    def _position_of(self, is_local: bool) -> Position:
        return self.local_position if is_local and self.local_position is not None else self.position

    def _sight(self, is_local: bool, positions_BT: Tensor, visibility: Visibility, dtype: torch.dtype) -> Sight:
        position = self._position_of(is_local)
        window = self.config.window if is_local else None
        return Sight(position.prepare(positions_BT, dtype), visibility.mask(window, position.bias, dtype))
