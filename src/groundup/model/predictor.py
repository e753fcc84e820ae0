"""Multi-token prediction: modules that learn to see further ahead.

Shapes: B batch, T tokens, D width of the model.
"""

import torch
from torch import Tensor, nn

from groundup.model.attention.mask import Sight
from groundup.model.block import make_block
from groundup.model.config import ModelConfig
from groundup.model.norm import make_norm
from groundup.model.position.scheme import Position


class Predictor(nn.Module):
    """block(projection(norm(hidden), norm(embedding of the next token))) (DeepSeek-AI 2024, DeepSeek-V3, section 2.2).

    Embedding and head are those of the model. The block is one like the model's last.
    """

    def __init__(self, config: ModelConfig, position: Position) -> None:
        super().__init__()
        self.hidden_norm = make_norm(config, config.d_model)
        self.embedding_norm = make_norm(config, config.d_model)
        self.projection = nn.Linear(2 * config.d_model, config.d_model, bias=False)
        self.block = make_block(config, config.n_layers - 1, position)
        self.norm = make_norm(config, config.d_model)

    def forward(self, hidden_BTD: Tensor, coming_BTD: Tensor, sight: Sight) -> tuple[Tensor, Tensor]:
        """What is known at each place, the coming token's embedding taken in; and the same, normed for the head."""
        both_BTX = torch.cat((self.hidden_norm(hidden_BTD), self.embedding_norm(coming_BTD)), -1)
        x_BTD = self.block(self.projection(both_BTX), sight, None)
        return x_BTD, self.norm(x_BTD)
