"""Muon: momentum whose matrix is made orthogonal before it is applied (Jordan et al. 2024)."""

import math
from collections import defaultdict

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

# Quintic Newton–Schulz: five steps send singular values to about [0.68, 1.13]; steep at zero, exactness is not the aim.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5
# Root mean square of an AdamW update, which Muon's are scaled to, so that one learning rate and one weight decay
# serve both (Liu et al. 2025, "Muon is Scalable for LLM Training", section 2.2).
ADAMW_RMS = 0.2


def orthogonalize(matrices_RC: Tensor) -> Tensor:
    """Nearest semi-orthogonal matrices, roughly: U Vᵀ of each singular value decomposition. Computed in bf16.

    Takes any leading dimensions before rows and columns.
    """
    x = matrices_RC.bfloat16().flatten(0, -3)
    wide = x.shape[-2] <= x.shape[-1]
    if not wide:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x if wide else x.mT).reshape(matrices_RC.shape)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalized over all matrices of one shape at a time, with decoupled weight decay.

    An update is scaled by 0.2 · sqrt(max(rows, columns)). A parameter of more than two dimensions is a stack of
    matrices, each of which is made orthogonal by itself.
    """

    def __init__(self, params: ParamsT, lr: float, momentum: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyrefly: ignore[bad-override]
        """Apply one update."""
        assert closure is None
        for group in self.param_groups:
            by_shape = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for shape, parameters in by_shape.items():
                self._update(parameters, group, ADAMW_RMS * math.sqrt(max(shape[-2:])))

    def _update(self, parameters: list[Tensor], group: dict, scale: float) -> None:
        directions = [self._direction(parameter, group["momentum"]) for parameter in parameters]
        updates = orthogonalize(torch.stack(directions))
        for parameter, update in zip(parameters, updates, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(update.to(parameter.dtype), alpha=-group["lr"] * scale)

    def _direction(self, parameter: Tensor, momentum: float) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        assert parameter.grad is not None
        state["momentum"].lerp_(parameter.grad, 1 - momentum)
        return parameter.grad.lerp(state["momentum"], momentum)
