"""What recurrent models keep of the tokens that they have read: their state, of one size however many those were.

Shapes: B batch, T new tokens, D width of the model.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from groundup.model.config import ModelConfig
from groundup.model.segments import State


class _Snapshot(NamedTuple):
    """Everything stored, exchanged as a whole."""

    length: int
    states: Sequence[State]
    documents: Tensor
    """[B], of the last token of each row."""


class StateCache:
    """States of every layer of a recurrent model, in the precision of its cells: fp32.

    A forward pass hands in all that it has to store at its end, and that takes the place of what was there in one
    assignment; a pass that was cut off halfway has therefore stored nothing.
    """

    def __init__(self, config: ModelConfig, batch: int, max_len: int, device: torch.device, dtype: torch.dtype) -> None:
        zero_1BD = torch.zeros(1, batch, config.d_model, device=device)
        state = (zero_1BD, zero_1BD) if config.kind == "lstm" else (zero_1BD,)
        document_B = torch.zeros(batch, dtype=torch.long, device=device)
        self._now = _Snapshot(0, [state] * config.n_layers, document_B)
        self.max_len = max_len

    @property
    def length(self) -> int:
        """Tokens read so far."""
        return self._now.length

    def before(self, documents_BT: Tensor | None) -> Sequence[State]:
        """States to read these tokens from: zero in rows that begin another document with them."""
        if documents_BT is None:
            return self._now.states
        goes_on_B1 = (documents_BT[:, 0] == self._now.documents)[:, None]
        return [tuple(part_1BD * goes_on_B1 for part_1BD in state) for state in self._now.states]

    def store(self, states: Sequence[State], documents_BT: Tensor | None, tokens: int) -> None:
        """Take the states behind so many new tokens of these documents."""
        end = self.length + tokens
        assert end <= self.max_len, f"the cache holds {self.max_len} tokens, not {end}"
        document_B = self._now.documents if documents_BT is None else documents_BT[:, -1]
        self._now = _Snapshot(end, states, document_B)

    def rewind(self, length: int) -> int:
        """Stay if `length` is that of the cache; else begin again: of earlier states nothing is known."""
        assert 0 <= length <= self.length, (length, self.length)
        if length < self.length:
            zero = [tuple(torch.zeros_like(part_1BD) for part_1BD in state) for state in self._now.states]
            self._now = _Snapshot(0, zero, torch.zeros_like(self._now.documents))
        return self.length

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows of the batch, in this order."""
        index_B = torch.tensor(rows, dtype=torch.long, device=self._now.documents.device)
        states = [tuple(part_1BD[:, index_B] for part_1BD in state) for state in self._now.states]
        self._now = _Snapshot(self.length, states, self._now.documents[index_B])
