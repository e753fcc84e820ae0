"""Who may look at whom.

Shapes: B batch, T new tokens, S tokens to attend to, H heads.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from groundup.model.position.scheme import Rotation

# bool [B, 1, T, S], true where a token may look; or float [B, H, T, S], added to the logits; or None: plain causal
# order over the same tokens, or one new token that sees all.
Mask = Tensor | None


class LayerCache(Protocol):
    """What one layer keeps of earlier tokens: keys and values, or what they are made of."""

    def append(self, k_BGTK: Tensor, v_BGTV: Tensor) -> tuple[Tensor, Tensor]:
        """Store the new ones; return all so far, [B, G, S, …] each."""
        ...


class Cache(Protocol):
    """What a model needs of a cache of earlier tokens."""

    layers: Sequence[LayerCache]
    length: int
    """Tokens stored so far, the same in every layer."""

    def extend(self, documents_BT: Tensor) -> Tensor:
        """Store the document numbers of the new tokens; return those of all tokens, [B, S]."""
        ...


class Sight(NamedTuple):
    """What the layers of one kind share in a forward pass: the rotation of new tokens, and what these may look at."""

    rotation: Rotation | None
    mask: Mask


class Visibility:
    """Causal order within each document, for the new tokens of one forward pass. Made once, asked for each window."""

    def __init__(self, tokens: int, documents_BT: Tensor | None, cache: Cache | None, device: torch.device) -> None:
        self._tokens, self._past = tokens, cache.length if cache else 0
        order_S = torch.arange(self._past + tokens, device=device)
        self._distance_TS = order_S[self._past :, None] - order_S[None, :]
        self._same_BTS = None
        if documents_BT is not None:
            seen_BS = cache.extend(documents_BT) if cache else documents_BT
            self._same_BTS = documents_BT[:, :, None] == seen_BS[:, None, :]

    def mask(self, window: int | None, bias: Callable[[Tensor], Tensor | None], dtype: torch.dtype) -> Mask:
        """The mask of layers that see `window` tokens (None: all), with `bias(distance)` [H, T, S] added, if any."""
        bias_HTS = bias(self._distance_TS)
        windowed = window is not None and window < self._past + self._tokens
        plain = self._same_BTS is None and not windowed
        if plain and bias_HTS is None and (self._past == 0 or self._tokens == 1):
            return None
        visible_TS = self._distance_TS >= 0
        if windowed:
            visible_TS = visible_TS & (self._distance_TS < window)
        visible = visible_TS[None, None] if self._same_BTS is None else (visible_TS & self._same_BTS)[:, None]
        if bias_HTS is None:
            return visible
        return torch.where(visible, bias_HTS.to(dtype), float("-inf"))
