"""Which weights are updated by what; one handle for all of it."""

from collections import defaultdict
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from groundup.optim.config import OptimConfig
from groundup.optim.muon import Muon

_NO_SCALES: Mapping[str, float] = MappingProxyType({})
_STACKS = ("blocks.", "predictors.")  # whose matrices turn hidden activations into hidden activations


class Optimizer:
    """AdamW, or Muon for the matrices of the blocks and AdamW for the rest, behind one `step`.

    `lr_scales`: factors of the learning rate by the name of a parameter, 1 for those that are not named (muP). The
    decay of a step stays what it is without them (as in Yang et al.'s own MuAdamW): it has nothing to do with width.
    """

    def __init__(self, model: nn.Module, config: OptimConfig, lr_scales: Mapping[str, float] = _NO_SCALES) -> None:
        self.config = config
        self._named = dict(model.named_parameters())
        assert lr_scales.keys() <= self._named.keys() and all(scale > 0 for scale in lr_scales.values())
        by_muon, by_adamw = defaultdict(list), defaultdict(list)
        for name, parameter in self._named.items():
            is_matrix = parameter.dim() >= 2
            decay = config.weight_decay if is_matrix else 0.0
            chosen = by_muon if config.optimizer == "muon" and is_matrix and name.startswith(_STACKS) else by_adamw
            chosen[lr_scales.get(name, 1.0), decay].append(parameter)
        betas = (config.beta1, config.beta2)
        self._parts: list[torch.optim.Optimizer] = []
        if by_adamw:
            self._parts.append(torch.optim.AdamW(_groups(by_adamw), config.lr, betas, fused=True))
        if by_muon:
            self._parts.append(Muon(_groups(by_muon), config.lr, config.momentum, config.weight_decay))

    def step(self, lr: float) -> None:
        """One update at this learning rate; gradients are freed after it."""
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = lr * group["lr_scale"]
            part.step()
            part.zero_grad(set_to_none=True)

    def clip(self) -> Tensor:
        """Shorten the gradients to `clip_norm`; returns their length before."""
        limit = self.config.clip_norm or float("inf")
        return nn.utils.clip_grad_norm_(self._named.values(), limit, foreach=True)

    def state(self) -> dict[str, Tensor]:
        """Everything that the next update depends on, by `parameter name:state name`."""
        owner = {id(parameter): name for name, parameter in self._named.items()}
        return {
            f"{owner[id(parameter)]}:{key}": value
            for part in self._parts
            for parameter, state in part.state.items()
            for key, value in state.items()
        }

    def load_state(self, stored: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        owner = {id(p): part for part in self._parts for group in part.param_groups for p in group["params"]}
        for name, value in stored.items():
            parameter_name, key = name.rsplit(":", 1)
            parameter = self._named[parameter_name]
            owner[id(parameter)].state[parameter][key] = value.to(parameter.device)


def _groups(parameters: Mapping[tuple[float, float], list[nn.Parameter]]) -> list[dict]:
    """Of parameters by (scale of the learning rate, weight decay)."""
    return [
        {"params": chosen, "lr_scale": scale, "weight_decay": decay / scale}
        for (scale, decay), chosen in parameters.items()
    ]
