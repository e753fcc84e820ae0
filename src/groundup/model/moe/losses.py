"""Losses of a router, token by token, so that sums over any split of a batch are the same.

Shapes: ... any leading dimensions, E experts.
"""

from torch import Tensor


def load_balancing_loss(probabilities_E: Tensor, shares_E: Tensor) -> Tensor:
    """E · Σ_e f_e · p_e of each token, [...]; shares f sum to one over experts (Fedus et al. 2021, equation 4).

    With f of the same batch the mean over tokens is the paper's E · f · P; it is 1 when loads are even.
    Hugging Face's Mixtral counts a share for each of a token's top_k choices, and so gives top_k times this.
    """
    return shares_E.shape[-1] * (probabilities_E * shares_E.to(probabilities_E.dtype)).sum(-1)


def router_z_loss(logits_E: Tensor) -> Tensor:
    """logsumexp(logits)² of each token, [...] (Zoph et al. 2022, ST-MoE, equation 5)."""
    return logits_E.logsumexp(-1).square()
