"""What a model keeps of the tokens that it has read, so that no token is computed twice.

Shapes: B batch, T new tokens, S tokens so far, M tokens that there is room for, G heads, K elements of a head: of a
key and of a value, or of what these are made of.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from groundup.generate.state_cache import StateCache
from groundup.model.attention.mask import LayerCache
from groundup.model.config import ModelConfig


class ModelCache(Protocol):
    """A cache as those see it who feed a model. A pass that was cut off halfway has stored nothing."""

    @property
    def length(self) -> int:
        """Tokens stored so far."""
        ...

    def rewind(self, length: int) -> int:
        """Forget all tokens but the first `length`, or more than that if need be; returns how many are left."""
        ...

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows of the batch, in this order."""
        ...


def new_cache(config: ModelConfig, batch: int, max_len: int, device: torch.device, dtype: torch.dtype) -> ModelCache:
    """An empty cache of the kind that the model needs, for `batch` rows of up to `max_len` tokens."""
    kind: Any = KeyValueCache if config.kind == "transformer" else StateCache
    return kind(config, batch, max_len, device, dtype)


class KeyValueCache:
    """Room for `max_len` tokens of `batch` rows in every layer of a Transformer, allocated once.

    Latent attention stores what keys and values are made of. A layer that looks at a window only stores all tokens
    like any other: the mask hides those before it.

    `length` moves when the last layer has stored its part of a forward pass; a pass that was cut off halfway has
    therefore stored nothing.
    """

    def __init__(self, config: ModelConfig, batch: int, max_len: int, device: torch.device, dtype: torch.dtype) -> None:
        self.length = 0
        self.max_len = max_len
        shapes = [(batch, heads, max_len, size) for heads, size in config.cached_sizes]
        self._layers = [
            _Layer(self, *(torch.zeros(shape, device=device, dtype=dtype) for shape in shapes))
            for _ in range(config.n_layers)
        ]
        self.layers: Sequence[LayerCache] = self._layers
        self._documents_BM = torch.zeros(batch, max_len, dtype=torch.long, device=device)

    def extend(self, documents_BT: Tensor) -> Tensor:
        """Store the document numbers of the tokens of this pass; return those of all tokens, [B, S]."""
        end = self.length + documents_BT.shape[1]
        self._documents_BM[:, self.length : end] = documents_BT
        return self._documents_BM[:, :end]

    def rewind(self, length: int) -> int:
        """Forget all tokens but the first `length`."""
        assert 0 <= length <= self.length, (length, self.length)
        self._documents_BM[:, length:] = 0
        self.length = length
        return length

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows of the batch, in this order."""
        index_B = torch.tensor(rows, dtype=torch.long, device=self._documents_BM.device)
        self._documents_BM = self._documents_BM[index_B]
        for layer in self._layers:
            layer.keep(index_B)


class _Layer:
    """The two tensors of one layer."""

    def __init__(self, cache: KeyValueCache, k_BGMK: Tensor, v_BGMK: Tensor) -> None:
        self._cache, self._stored = cache, (k_BGMK, v_BGMK)

    def append(self, k_BGTK: Tensor, v_BGTV: Tensor) -> tuple[Tensor, Tensor]:
        """Store what this pass adds; return all so far, [B, G, S, …] each."""
        start, end = self._cache.length, self._cache.length + k_BGTK.shape[2]
        assert end <= self._cache.max_len, f"the cache holds {self._cache.max_len} tokens, not {end}"
        keys_BGMK, values_BGMV = self._stored
        keys_BGMK[:, :, start:end], values_BGMV[:, :, start:end] = k_BGTK, v_BGTV
        if self is self._cache.layers[-1]:
            self._cache.length = end
        return keys_BGMK[:, :, :end], values_BGMV[:, :, :end]

    def keep(self, index_B: Tensor) -> None:
        """Keep these rows."""
        keys_BGMK, values_BGMV = self._stored
        self._stored = keys_BGMK[index_B], values_BGMV[index_B]
