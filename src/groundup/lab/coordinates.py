"""The coordinate check: how large activations are over widths, after a few steps of training.

Yang et al. 2022, "Tensor Programs V", appendix D.1. If sizes stay as the width grows, a learning rate found for a
narrow model serves a wide one; if they grow or vanish with the width, it does not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from groundup.core.progress import Reporter
from groundup.model.build import build_model
from groundup.model.config import ModelConfig
from groundup.model.initialize import initialize
from groundup.model.language_model import LanguageModel
from groundup.model.mup import learning_rate_factors
from groundup.optim.config import OptimConfig
from groundup.optim.optimizer import Optimizer

# Random tokens, the same ones each step, so that there is something to learn at once.
_VOCABULARY, _ROWS, _TOKENS = 256, 4, 64


@dataclass(frozen=True)
class Coordinates:
    """Mean absolute activations at each place of the model."""

    widths: tuple[int, ...]
    sizes: dict[str, list[list[float]]]
    """By place: for each width, for 0, 1, … steps of training."""

    def growth(self, place: str) -> float:
        """Exponent of the width that sizes after the last step follow: log size = growth · log width + constant."""
        x = [math.log(width) for width in self.widths]
        y = [math.log(max(of_width[-1], 1e-12)) for of_width in self.sizes[place]]
        mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
        covariance = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
        return covariance / sum((a - mean_x) ** 2 for a in x)


def check_coordinates(
    config: ModelConfig, optim: OptimConfig, widths: Sequence[int], steps: int, seed: int, reporter: Reporter
) -> Coordinates:
    """Train the model at each width for some steps on random tokens; fp32, constant learning rate `optim.lr`."""
    sizes: dict[str, list[list[float]]] = {}
    with reporter.task("training", len(widths) * steps, "steps") as task:
        for width in widths:
            config_of_width = at_width(config, width)
            model = initialize(build_model(config_of_width, _VOCABULARY), seed)
            factors = learning_rate_factors(model, orthogonalized=optim.optimizer == "muon")
            optimizer = Optimizer(model, optim, factors)
            measured: dict[str, list[float]] = {}
            for step in range(steps + 1):
                loss = _measure(model, seed, measured)
                if step < steps:
                    loss.backward()
                    optimizer.step(optim.lr)
                    task.advance(1)
            for place, values in measured.items():
                sizes.setdefault(place, []).append(values)
    return Coordinates(tuple(widths), sizes)


def at_width(config: ModelConfig, width: int) -> ModelConfig:
    """The same model at another width: as many more heads and hidden elements as it is wider. Heads keep their size."""
    ratio = width / config.d_model
    changes: dict[str, Any] = {
        "d_model": width,
        "n_heads": max(1, round(config.n_heads * ratio)),
        "n_kv_heads": max(1, round(config.n_kv_heads * ratio)) if config.n_kv_heads else 0,
        "head_dim": config.head_size,
        "d_ff": round(config.ff_width * ratio),
    }
    if config.moe:
        d_expert = round((config.moe.d_expert or config.ff_width) * ratio)
        changes["moe"] = config.moe.model_copy(update={"d_expert": d_expert})
    return ModelConfig.model_validate(config.model_dump() | changes)


def _measure(model: LanguageModel, seed: int, measured: dict[str, list[float]]) -> Tensor:
    """Loss of a step; sizes are appended under the name of their place."""

    def note(place: str, x: Tensor) -> None:
        measured.setdefault(place, []).append(x.detach().abs().mean().item())

    def noting(place: str):  # noqa: ANN202
        return lambda _module, _inputs, out: note(place, out[0] if isinstance(out, tuple) else out)

    blocks = list(getattr(model, "blocks", ()))
    places: list[tuple[str, nn.Module]] = [("embedding", model.embedding)]
    places += [(f"block {index + 1}", block) for index, block in enumerate(blocks)]
    hooks = [module.register_forward_hook(noting(place)) for place, module in places]
    generator = torch.Generator().manual_seed(seed)
    tokens_RT = torch.randint(_VOCABULARY, (_ROWS, _TOKENS + 1), generator=generator)
    logits_RTV = model(tokens_RT[:, :-1])
    note("logits", logits_RTV)
    for hook in hooks:
        hook.remove()
    return F.cross_entropy(logits_RTV.flatten(0, 1), tokens_RT[:, 1:].flatten())
