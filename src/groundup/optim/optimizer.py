"""Which weights are updated by what; one handle for all of it."""

import torch
from torch import Tensor, nn

from groundup.optim.config import OptimConfig
from groundup.optim.muon import Muon


class Optimizer:
    """AdamW, or Muon for the matrices of the blocks and AdamW for the rest, behind one `step`."""

    def __init__(self, model: nn.Module, config: OptimConfig) -> None:
        self.config = config
        self._named = dict(model.named_parameters())
        matrices, tables, vectors = _sort_parameters(self._named)
        if config.optimizer == "adamw":
            matrices, tables = [], matrices + tables
        groups = [{"params": tables, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        betas = (config.beta1, config.beta2)
        self._parts: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, config.lr, betas, fused=True)]
        if matrices:
            self._parts.append(Muon(matrices, config.lr, config.momentum, config.weight_decay))

    def step(self, lr: float) -> None:
        """One update at this learning rate; gradients are freed after it."""
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = lr
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


def _sort_parameters(named: dict[str, nn.Parameter]) -> tuple[list, list, list]:
    """Matrices of the blocks; embedding and head; vectors."""
    matrices = [p for name, p in named.items() if p.dim() == 2 and name.startswith("blocks.")]
    tables = [p for name, p in named.items() if p.dim() == 2 and not name.startswith("blocks.")]
    vectors = [p for p in named.values() if p.dim() < 2]
    return matrices, tables, vectors
