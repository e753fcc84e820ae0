"""Feeds rows of tokens to a model through a cache: all prompts at once, then one token of each row at a time.

Shapes: B rows, T tokens fed, V vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from groundup.core.device import Compute
from groundup.generate.cache import ModelCache, new_cache
from groundup.model.language_model import LanguageModel

_TEXT, _PADDING = 0, -1


class Prefix:
    """What a model has read of one row, kept between calls: a conversation reads each turn once."""

    def __init__(self, model: LanguageModel, compute: Compute) -> None:
        self.cache = new_cache(model.config, 1, model.config.max_seq_len, compute.device, compute.dtype)
        self.ids: list[int] = []

    def reuse(self, ids: Sequence[int]) -> int:
        """Forget what differs from `ids`; returns how many of the first ids need not be read again.

        At least one is read again, since the logits behind it are wanted. A recurrent model reads all again if it
        has read too much.
        """
        known = min(self.cache.length, len(self.ids), len(ids) - 1)
        same = next((i for i in range(known) if self.ids[i] != ids[i]), known)
        left = self.cache.rewind(same)
        del self.ids[left:]
        return left


class Decoder:
    """Rows of a batch in a model's cache. Prompts of different lengths are padded on the left.

    Padding is a document of its own that text does not see, and positions count from each row's own start, so
    a row gets the logits that it would get alone (Law 8).
    """

    def __init__(
        self,
        model: LanguageModel,
        compute: Compute,
        prompts: Sequence[Sequence[int]],
        room: int,
        prefix: Prefix | None = None,
    ) -> None:
        """`room`: tokens beside the prompts to keep space for; `prefix`: for a single prompt."""
        assert prefix is None or len(prompts) == 1
        self._model, self._compute, self._prefix = model, compute, prefix
        self._prompts = prompts
        self._lengths = [len(prompt) for prompt in prompts]
        self._ragged = min(self._lengths) != max(self._lengths)
        self._cache = prefix.cache if prefix else self._allocate(room)

    def _allocate(self, room: int) -> ModelCache:
        # A short prompt beside a long one may write on where the long one must end.
        longest, most = max(self._lengths), self._model.config.max_seq_len
        slots = max(longest - n + min(most, n + room) for n in self._lengths)
        return new_cache(self._model.config, len(self._lengths), slots, self._compute.device, self._compute.dtype)

    def start(self) -> Tensor:
        """Read the prompts; logits of the first new token, [B, V]."""
        if self._prefix:
            known = self._prefix.reuse(self._prompts[0])
            return self._feed([list(self._prompts[0][known:])], [known])
        longest = max(self._lengths)
        padding = [longest - n for n in self._lengths]
        rows = [[0] * pad + list(prompt) for pad, prompt in zip(padding, self._prompts, strict=True)]
        return self._feed(rows, [-pad for pad in padding])

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Read one more token of each row; logits of the next, [B, V]."""
        starts = list(self._lengths)
        self._lengths = [n + 1 for n in self._lengths]
        return self._feed([[token] for token in tokens], starts)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows only, in this order."""
        assert self._prefix is None
        self._lengths = [self._lengths[row] for row in rows]
        self._cache.keep(rows)

    @torch.inference_mode()
    def _feed(self, rows: list[list[int]], starts: list[int]) -> Tensor:
        """`starts`: the position of the first token of each row; padding has positions below zero."""
        device = self._compute.device
        tokens_BT = torch.tensor(rows, dtype=torch.long, device=device)
        if self._prefix:
            self._prefix.ids.extend(rows[0])
        positions_BT = documents_BT = None
        if self._ragged:
            first_B1 = torch.tensor(starts, device=device)[:, None]
            positions_BT = first_B1 + torch.arange(tokens_BT.shape[1], device=device)
            documents_BT = torch.where(positions_BT < 0, _PADDING, _TEXT)
            positions_BT = positions_BT.clamp(min=0)
        with self._compute.autocast():
            hidden_BTD = self._model.hidden(tokens_BT, positions_BT, documents_BT, self._cache)
            return self._model.logits(hidden_BTD[:, -1])
