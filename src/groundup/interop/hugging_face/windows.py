"""Which layers see a window of tokens only, as config.json says it."""

from typing import Any

from groundup.interop.hugging_face.keys import Keys
from groundup.model.config import ModelConfig

_LETTERS = {"sliding_attention": "L", "full_attention": "G"}


def read_windows(keys: Keys, usual: list[str], window: int | None) -> dict[str, Any]:
    """`window` and `window_pattern`, of `layer_types` or, where config.json has none, of the `usual` ones."""
    kinds = keys.raw("layer_types", usual)
    if not isinstance(kinds, list) or len(kinds) != len(usual) or any(kind not in _LETTERS for kind in kinds):
        keys.problems.append(f"layer_types has to hold {' or '.join(_LETTERS)} for each of {len(usual)} layers")
        return {}
    pattern = "".join(_LETTERS[kind] for kind in kinds)
    if "L" not in pattern:
        return {}
    if window is None:
        keys.problems.append("layers with sliding_attention need a sliding_window")
    return {"window": window, "window_pattern": _period(pattern)}


def layer_types(config: ModelConfig) -> list[str]:
    """The kind of attention of each layer."""
    return ["sliding_attention" if config.is_local(layer) else "full_attention" for layer in range(config.n_layers)]


def _period(pattern: str) -> str:
    """The shortest beginning that, repeated, gives the pattern."""
    lengths = range(1, len(pattern) + 1)
    return next(pattern[:n] for n in lengths if (pattern[:n] * len(pattern))[: len(pattern)] == pattern)
