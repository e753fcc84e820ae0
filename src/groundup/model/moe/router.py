"""Which experts each token goes to, and with what weight.

Shapes: ... any leading dimensions, D width of the model, E experts, G groups of them, K experts of a token.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from groundup.core.device import without_autocast
from groundup.model.moe.losses import load_balancing_loss, router_z_loss
from groundup.model.parts import MoeConfig

_SMALLEST_SUM = 1e-20  # what DeepSeek-V3 adds to a sum of weights that may be zero


class Routing(NamedTuple):
    """What balancing needs to know of one forward pass."""

    chosen: Tensor
    """[..., K] the experts of each token."""
    loss: Tensor | None
    """[...] auxiliary loss of each token; None where the config asks for none."""


class Router(nn.Module):
    """A linear layer whose logits, in fp32 whatever the model runs in, choose the experts of each token.

    softmax: over all experts (Jiang et al. 2024, Mixtral); a group of experts counts as much as its best one
    (DeepSeek-V2). sigmoid: each expert for itself; a group counts as much as its two best together (DeepSeek-V3). The
    choice is made by scores plus `bias`, the weights by scores alone, so that the bias moves tokens and no gradient.

    `bias` [E] is what balance "bias" has learned of the loads, `load` [E] the share of choices that went to each
    expert in the last global batch, for balance "loss". Both are saved with the weights. `routing` is left behind by a
    forward pass with gradients and `counts` gathers over a step: see balance.py.
    """

    bias: Tensor | None
    load: Tensor | None

    def __init__(self, d_model: int, config: MoeConfig) -> None:
        super().__init__()
        self.config = config
        experts, balance = config.n_experts, config.balance
        self.weight = nn.Parameter(torch.zeros(experts, d_model))
        self.register_buffer("bias", torch.zeros(experts) if balance == "bias" else None)
        self.register_buffer("load", torch.full((experts,), 1 / experts) if balance == "loss" else None)
        self.routing: Routing | None = None
        self.counts: Tensor | None = None

    def forward(self, x_D: Tensor) -> tuple[Tensor, Tensor]:
        """Experts and their weights, each [..., K]."""
        with without_autocast(x_D):
            precise = torch.promote_types(x_D.dtype, torch.float32)
            logits_E = F.linear(x_D.to(precise), self.weight.to(precise))
            scores_E = logits_E.softmax(-1) if self.config.scoring == "softmax" else logits_E.sigmoid()
            chosen_K = self._choose(scores_E.detach())
            weights_K = scores_E.gather(-1, chosen_K)
            if self.config.normalize_top_k:
                weights_K = weights_K / (weights_K.sum(-1, keepdim=True) + _SMALLEST_SUM)
            if torch.is_grad_enabled():
                self.routing = Routing(chosen_K, self._auxiliary_loss(logits_E, scores_E))
        return chosen_K, weights_K * self.config.routed_scale

    def _choose(self, scores_E: Tensor) -> Tensor:
        config = self.config
        if self.bias is not None:
            scores_E = scores_E + self.bias
        if config.n_groups > 1:
            members_GE = scores_E.unflatten(-1, (config.n_groups, -1))
            counted = 1 if config.scoring == "softmax" else min(2, members_GE.shape[-1])
            worth_G = members_GE.topk(counted, -1).values.sum(-1)
            left_out_G = torch.ones_like(worth_G, dtype=torch.bool)
            left_out_G.scatter_(-1, worth_G.topk(config.top_groups, -1).indices, False)
            scores_E = members_GE.masked_fill(left_out_G[..., None], float("-inf")).flatten(-2)
        return scores_E.topk(config.top_k, -1).indices

    def _auxiliary_loss(self, logits_E: Tensor, scores_E: Tensor) -> Tensor | None:
        config, loss = self.config, None
        if self.load is not None and config.balance_weight:
            shares_E = scores_E if config.scoring == "softmax" else F.normalize(scores_E, p=1.0, dim=-1)
            loss = config.balance_weight * load_balancing_loss(shares_E, self.load)
        if config.z_weight:
            z_loss = config.z_weight * router_z_loss(logits_E)
            loss = z_loss if loss is None else loss + z_loss
        return loss

    def __getstate__(self) -> dict[str, Any]:
        """A copy has not run yet (and tensors that carry a graph cannot be copied)."""
        return {**self.__dict__, "routing": None, "counts": None}
