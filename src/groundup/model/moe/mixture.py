"""A feed-forward sublayer that is chosen from many, token by token (Shazeer et al. 2017).

Shapes: B batch, T tokens, N tokens of all rows, D width of the model, K experts of a token.
"""

from torch import Tensor, nn

from groundup.model.config import ModelConfig
from groundup.model.feedforward import FeedForward
from groundup.model.moe.experts import Experts
from groundup.model.moe.router import Router


class Mixture(nn.Module):
    """Σ weight · expert(x) over the experts that the router chooses, and the shared ones, which see every token."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.moe is not None
        self.router = Router(config.d_model, config.moe)
        self.experts = Experts(config)
        shared_width = config.moe.n_shared * self.experts.width
        self.shared = FeedForward(config.d_model, shared_width, config.feedforward) if shared_width else None

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The matrices that write to the residual stream."""
        return (self.experts.down, *(self.shared.outputs if self.shared else ()))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Each token through its experts; none is dropped, however crowded an expert is."""
        chosen_BTK, weights_BTK = self.router(x_BTD)
        out_ND = self.experts(x_BTD.flatten(0, -2), chosen_BTK.flatten(0, -2), weights_BTK.flatten(0, -2))
        out_BTD = out_ND.view_as(x_BTD)
        return out_BTD + self.shared(x_BTD) if self.shared else out_BTD
