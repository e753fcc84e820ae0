"""Models whose weights are about to be read."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from groundup.model.build import build_model
from groundup.model.config import ModelConfig
from groundup.model.language_model import LanguageModel

_DRAWS = (torch.Tensor.uniform_, torch.Tensor.normal_)


class _DrawNothing(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return args[0] if func in _DRAWS else func(*args, **(kwargs or {}))


def unfilled_model(config: ModelConfig, vocab_size: int) -> LanguageModel:
    """A model without the random numbers that modules draw when they are made, and that reading would overwrite."""
    with _DrawNothing():
        return build_model(config, vocab_size)
