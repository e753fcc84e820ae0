"""Keys and values of the tokens that a model has read, so that no token is computed twice.

Shapes: B batch, T new tokens, S tokens so far, M tokens that there is room for, G key/value heads, K elements
of a head.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from groundup.model.attention import LayerCache
from groundup.model.config import ModelConfig


class KeyValueCache:
    """Room for `max_len` tokens of `batch` rows in every layer, allocated once.

    `length` moves when the last layer has stored its part of a forward pass; a pass that was cut off halfway
    has therefore stored nothing.
    """

    def __init__(self, config: ModelConfig, batch: int, max_len: int, device: torch.device, dtype: torch.dtype) -> None:
        self.length = 0
        self.max_len = max_len
        shape = (2, batch, config.kv_heads, max_len, config.head_size)
        self._layers = [_Layer(self, torch.zeros(shape, device=device, dtype=dtype)) for _ in range(config.n_layers)]
        self.layers: Sequence[LayerCache] = self._layers
        self._documents_BM = torch.zeros(batch, max_len, dtype=torch.long, device=device)

    def extend(self, documents_BT: Tensor) -> Tensor:
        """Store the document numbers of the tokens of this pass; return those of all tokens, [B, S]."""
        end = self.length + documents_BT.shape[1]
        self._documents_BM[:, self.length : end] = documents_BT
        return self._documents_BM[:, :end]

    def truncate(self, length: int) -> None:
        """Forget all tokens but the first `length`."""
        assert 0 <= length <= self.length, (length, self.length)
        self._documents_BM[:, length:] = 0
        self.length = length

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows of the batch, in this order."""
        index = torch.tensor(rows, dtype=torch.long, device=self._documents_BM.device)
        self._documents_BM = self._documents_BM[index]
        for layer in self._layers:
            layer.stored_2BGMK = layer.stored_2BGMK[:, index]


class _Layer:
    """Keys and values of one layer."""

    def __init__(self, cache: KeyValueCache, stored_2BGMK: Tensor) -> None:
        self._cache, self.stored_2BGMK = cache, stored_2BGMK

    def append(self, k_BGTK: Tensor, v_BGTK: Tensor) -> tuple[Tensor, Tensor]:
        """Store keys and values of this pass; return all so far, [B, G, S, K] each."""
        start, end = self._cache.length, self._cache.length + k_BGTK.shape[2]
        assert end <= self._cache.max_len, f"the cache holds {self._cache.max_len} tokens, not {end}"
        keys_BGMK, values_BGMK = self.stored_2BGMK
        keys_BGMK[:, :, start:end], values_BGMK[:, :, start:end] = k_BGTK, v_BGTK
        if self is self._cache.layers[-1]:
            self._cache.length = end
        return keys_BGMK[:, :, :end], values_BGMK[:, :, :end]
