"""What keeps experts evenly busy, exact however a global batch is split into micro-batches (Law 1).

An auxiliary loss that multiplies two means over a batch is no sum over tokens: its gradient would depend on the split.
Here one factor, the shares of the experts, is that of the *previous* global batch, and the loss is a sum over tokens.
Loads are counts, summed over all micro-batches of a step before anything is derived of them. Only tokens from which
something is learned count: neither padding nor what a packing puts beside a document has a part in it.

Shapes: B batch, T tokens, K experts of a token, E experts, L routers.
"""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from groundup.model.moe.router import Router


def take_auxiliary_loss(model: nn.Module, counted_BT: Tensor) -> Tensor | None:
    """Sum over all routers in `model` of what the counted tokens of their last call lose; None if nothing is asked.

    Their choices are added to what the step has counted so far. What a call left is taken once: a forward pass that
    is repeated to recompute activations does not count again.
    """
    total = None
    for router in _routers(model):
        if router.routing is None:
            continue
        chosen_BTK, loss_BT = router.routing
        router.routing = None
        counts_E = torch.bincount(chosen_BTK[counted_BT].flatten(), minlength=router.config.n_experts)
        router.counts = _counts(router) + counts_E
        if loss_BT is not None:
            loss = torch.where(counted_BT, loss_BT, 0).sum()
            total = loss if total is None else total + loss
    return total


@torch.no_grad()
def finish_step(model: nn.Module, reduce: Callable[[Tensor], Tensor] | None = None) -> dict[str, float]:
    """Learn from the loads of a step, after the optimizer's update; `reduce` sums a tensor over all ranks.

    The bias of an expert moves by `bias_rate` towards more tokens if its load is below the mean, else towards fewer
    (Wang et al. 2024, "Auxiliary-Loss-Free Load Balancing", algorithm 1).

    Returns, of the routers of a model that has some, "moe_max_load": the largest load of an expert, where 1 is even;
    "moe_idle_experts": how many saw no token; "moe_entropy": mean entropy of loads, from 0 (all on one) to 1 (even).
    """
    routers = list(_routers(model))
    if not routers:
        return {}
    counts_LE = torch.stack([_counts(router) for router in routers])
    if reduce is not None:
        counts_LE = reduce(counts_LE)
    for router, counts_E in zip(routers, counts_LE, strict=True):
        router.routing = router.counts = None
        if router.load is not None and counts_E.any():
            router.load.copy_(counts_E / counts_E.sum())
        if router.bias is not None:
            error_E = counts_E.double().mean() - counts_E
            router.bias.add_(error_E.sign().to(router.bias.dtype), alpha=router.config.bias_rate)
    return _metrics(counts_LE.cpu())


def _counts(router: Router) -> Tensor:
    if router.counts is not None:
        return router.counts
    return torch.zeros(router.config.n_experts, dtype=torch.int64, device=router.weight.device)


def _metrics(counts_LE: Tensor) -> dict[str, float]:
    counts_LE = counts_LE[counts_LE.any(-1)].double()
    if not len(counts_LE):
        return {}
    experts = counts_LE.shape[-1]
    shares_LE = counts_LE / counts_LE.sum(-1, keepdim=True)
    return {
        "moe_max_load": experts * shares_LE.max().item(),
        "moe_idle_experts": float((counts_LE == 0).sum()),
        "moe_entropy": torch.special.entr(shares_LE).sum(-1).mean().item() / math.log(experts),
    }


def _routers(model: nn.Module) -> Iterator[Router]:
    return (module for module in model.modules() if isinstance(module, Router))
