"""Rows of `seq_len` tokens: windows over a stream of documents, or conversations packed side by side.

T: tokens of a row. In each row `inputs` and `labels` are the same tokens, one place apart.
"""

import hashlib
from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from groundup.core.errors import UserError
from groundup.data.indexed import TokenShard

IGNORE = -100
"""The label of a place at which nothing is to be learned (the default of torch's cross-entropy)."""
PADDING = -1
"""The document number of padding."""


class Row(NamedTuple):
    """Four arrays [T]: see `batches.Batch`."""

    inputs: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    documents: npt.NDArray[np.int32]


class Rows(Protocol):
    """Numbered rows, all of one length."""

    seq_len: int

    @property
    def fingerprint(self) -> str:
        """A hash of all that the rows depend on."""
        ...

    def __len__(self) -> int: ...

    def row(self, index: int) -> Row:
        """Row `index`, always the same."""
        ...


class WindowRows:
    """Consecutive windows over the shards of one source; the last window of a shard is padded.

    With a `stride` below seq_len windows overlap, and a label that an earlier window had is IGNORE: each is
    counted once, and all but those of the first window have at least seq_len - stride tokens before them.

    The stream of a shard is t1 … tn EOT u1 … um EOT. Labels are the stream shifted by one. End-of-text as an
    input begins the next document (nothing before it is seen from there on), as a label it ends its own. The
    first token of a shard is never a label. Raises UserError if not one window is full, unless `allow_short`.
    """

    def __init__(
        self,
        shards: Sequence[TokenShard],
        seq_len: int,
        pad_id: int,
        *,
        name: str = "",
        allow_short: bool = False,
        stride: int = 0,
    ) -> None:
        assert 0 <= stride <= seq_len
        longest = max((len(shard.tokens) for shard in shards), default=0)
        if longest <= (1 if allow_short else seq_len):
            raise UserError(
                f"source '{name}' has {longest} tokens in its longest shard, a sequence needs {seq_len} + 1",
                "give more text, or shorten the sequences",
            )
        self.seq_len, self._stride = seq_len, stride or seq_len
        self._shards, self._pad_id = shards, pad_id
        self._row_ends = np.cumsum([self._rows_of(len(shard.tokens) - 1) for shard in shards])

    def _rows_of(self, labels: int) -> int:
        """Windows that cover so many labels."""
        if labels <= 0:
            return 0
        return 1 + max(0, -(-(labels - self.seq_len) // self._stride))

    def __len__(self) -> int:
        return int(self._row_ends[-1])

    @property
    def fingerprint(self) -> str:
        """A hash of the tokens, document borders, and shape."""
        return _digest(
            "windows",
            self.seq_len,
            self._stride,
            self._pad_id,
            *(shard.fingerprint for shard in self._shards),
        )

    def row(self, index: int) -> Row:
        """Window `index`, counted over all shards."""
        number = int(np.searchsorted(self._row_ends, index, side="right"))
        shard = self._shards[number]
        start = (index - int(self._row_ends[number - 1] if number else 0)) * self._stride
        window = shard.tokens[start : start + self.seq_len + 1].astype(np.int64)
        row = _blank(self.seq_len, self._pad_id)
        length = len(window) - 1
        row.inputs[:length], row.labels[:length] = window[:-1], window[1:]
        first, last = np.searchsorted(shard.document_ends, [start + 2, start + length + 1])
        begins = np.unique(np.append(shard.document_ends[first:last] - 1 - start, 0))  # end-of-text as an input
        row.documents[:length] = np.repeat(np.arange(len(begins)), np.diff(begins, append=length))
        row.positions[:length] = np.arange(length) - begins[row.documents[:length]]
        if start:
            row.labels[: self.seq_len - self._stride] = IGNORE
        return row


class PackedRows:
    """Conversations packed into rows by best fit decreasing, each a document of its own.

    `tokens` [n] and `trained` [n] (whether a token is to be learned) are all conversations in a row, of
    `lengths` [conversations]. One of more than seq_len + 1 tokens is cut there; one of a single token has
    nothing to predict and is left out. Raises UserError if nothing is left.
    """

    def __init__(
        self,
        tokens: npt.NDArray[np.integer],
        trained: npt.NDArray[np.bool_],
        lengths: Sequence[int] | npt.NDArray[np.integer],
        seq_len: int,
        pad_id: int,
    ) -> None:
        lengths_ = np.asarray(lengths, dtype=np.int64)
        assert len(tokens) == len(trained) == lengths_.sum()
        self.seq_len = seq_len
        self._tokens, self._trained, self._pad_id = tokens, trained, pad_id
        self._starts = np.cumsum(lengths_) - lengths_
        self._lengths = lengths_
        self._places = np.minimum(lengths_ - 1, seq_len)
        self._bins = best_fit_decreasing(self._places, seq_len)
        if not self._bins:
            raise UserError("there is no conversation to train on", "give at least one of two tokens or more")

    def __len__(self) -> int:
        return len(self._bins)

    @property
    def fingerprint(self) -> str:
        """A hash of tokens, what is trained, lengths, and shape."""
        arrays = (self._tokens.astype("<i8"), self._trained.astype("u1"), self._lengths.astype("<i8"))
        hashes = (hashlib.sha256(array.tobytes()).hexdigest() for array in arrays)
        return _digest("packed", self.seq_len, self._pad_id, *hashes)

    def row(self, index: int) -> Row:
        """Row `index`: its conversations from left to right, then padding."""
        row = _blank(self.seq_len, self._pad_id)
        left = 0
        for number, conversation in enumerate(self._bins[index]):
            start, places = int(self._starts[conversation]), int(self._places[conversation])
            right = left + places
            labels = self._tokens[start + 1 : start + places + 1]
            row.inputs[left:right] = self._tokens[start : start + places]
            row.labels[left:right] = np.where(self._trained[start + 1 : start + places + 1], labels, IGNORE)
            row.positions[left:right] = np.arange(places)
            row.documents[left:right] = number
            left = right
        return row


def best_fit_decreasing(sizes: npt.NDArray[np.int64], capacity: int) -> list[list[int]]:
    """Indices of `sizes` in bins: the largest first, each into the fullest bin that takes it.

    Of equals, the first to have become so. Sizes below 1 are left out. Johnson et al. 1974: at most
    11/9 of the fewest bins, plus a constant.
    """
    bins: list[list[int]] = []
    by_space: dict[int, list[int]] = {}
    spaces: list[int] = []
    for item in np.argsort(-sizes, kind="stable").tolist():
        size = int(sizes[item])
        if size < 1:
            break
        at = bisect_left(spaces, size)
        if at == len(spaces):
            bins.append([item])
            target, space = len(bins) - 1, capacity
        else:
            space = spaces[at]
            target = by_space[space].pop(0)
            bins[target].append(item)
            if not by_space[space]:
                del by_space[space], spaces[at]
        space -= size
        if space not in by_space:
            by_space[space] = []
            insort(spaces, space)
        by_space[space].append(target)
    return bins


def _blank(seq_len: int, pad_id: int) -> Row:
    return Row(
        np.full(seq_len, pad_id, np.int64),
        np.full(seq_len, IGNORE, np.int64),
        np.zeros(seq_len, np.int64),
        np.full(seq_len, PADDING, np.int32),
    )


def _digest(*parts: str | int) -> str:
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()
