"""Models whose weights are about to be read."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode

from groundup.model.build import build_model
from groundup.model.config import ModelConfig
from groundup.model.language_model import LanguageModel

_DRAWS = (nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_)


class _DrawNothing(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _DRAWS:
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def unfilled_model(config: ModelConfig, vocab_size: int) -> LanguageModel:
    """A model without the random numbers that modules draw when they are made, and that reading would overwrite."""
    with _DrawNothing():
        return build_model(config, vocab_size)
