"""Rows cut into segments of one document each, so that a recurrent cell runs over all of them side by side.

Shapes: B rows, T tokens of a row, X all tokens, D width, N segments, n segments of a group, L tokens of the longest.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

# What a cell remembers, [1, B, D] each: h, and c of an LSTM.
State = tuple[Tensor, ...]


class Scan(Protocol):
    """A way to run a cell over rows."""

    def __call__(self, cell: nn.RNNBase, x_BTD: Tensor, state: State | None) -> tuple[Tensor, State | None]:
        """Output [B, T, D] from the state before the rows (None: zero), and the state behind them where it is known."""
        ...


def choose_scan(documents_BT: Tensor | None, *, wants_state: bool) -> Scan:
    """How to run cells over rows of these documents; made once for all layers. A new number begins a new document."""
    if documents_BT is None:
        return scan_rows
    begins_BT = torch.ones_like(documents_BT, dtype=torch.bool)
    begins_BT[:, 1:] = documents_BT[:, 1:] != documents_BT[:, :-1]
    start_N = begins_BT.flatten().nonzero()[:, 0].cpu()
    rows, tokens = documents_BT.shape
    if len(start_N) == rows:
        return scan_rows
    length_N = start_N.diff(append=torch.tensor([rows * tokens]))
    if wants_state:
        return PackedScan(start_N, length_N, tokens, documents_BT.device)
    return GroupedScan(start_N, length_N, documents_BT.device)


def scan_rows(cell: nn.RNNBase, x_BTD: Tensor, state: State | None) -> tuple[Tensor, State]:
    """Every row is one document."""
    # torch's cells take and give a pair for an LSTM, and a tensor for the others.
    is_pair = isinstance(cell, nn.LSTM)
    given: Any = state if is_pair or state is None else state[0]
    out_BTD, behind = cell(x_BTD, given)
    return out_BTD, behind if is_pair else (behind,)


class PackedScan:
    """All segments at once, the longest first: at each step in time a batch of those that are so long."""

    def __init__(self, start_N: Tensor, length_N: Tensor, tokens: int, device: torch.device) -> None:
        order_N = length_N.argsort(descending=True, stable=True)
        start_N, length_N = start_N[order_N], length_N[order_N]
        step_L1 = torch.arange(int(length_N[0]))[:, None]
        goes_on_LN = step_L1 < length_N
        index_X = (step_L1 + start_N)[goes_on_LN]
        self._sizes_L = goes_on_LN.sum(1)
        self._index_X, self._back_X = index_X.to(device), index_X.argsort().to(device)
        # Where the first and the last segment of each row are: they take and leave the state.
        self._first_B = _in_rows(start_N, start_N % tokens == 0).to(device)
        self._last_B = _in_rows(start_N, (start_N + length_N) % tokens == 0).to(device)

    def __call__(self, cell: nn.RNNBase, x_BTD: Tensor, state: State | None) -> tuple[Tensor, State]:
        """See `Scan`."""
        packed: Any = PackedSequence(x_BTD.flatten(0, 1)[self._index_X], self._sizes_L)
        if state is not None:
            empty_1ND = x_BTD.new_zeros(1, int(self._sizes_L[0]), cell.hidden_size)
            state = tuple(empty_1ND.index_copy(1, self._first_B, part_1BD) for part_1BD in state)
        out, behind = scan_rows(cell, packed, state)
        out_XD = out.data[self._back_X]
        return out_XD.view_as(x_BTD), tuple(part_1ND[:, self._last_B] for part_1ND in behind)


class GroupedScan:
    """Segments in groups of like lengths, padded on the right to that of the longest, less than twice the shortest.

    To torch's LSTM on a CPU these are plain batches, for which it has a faster kernel than for packed ones: 33 to 37
    in place of 97 to 170 ms for forward and backward of 8 × 256 tokens of width 192 on two cores; for the other cells
    there is no clear winner. What a segment leaves behind is not known, for padding comes after it.
    """

    def __init__(self, start_N: Tensor, length_N: Tensor, device: torch.device) -> None:
        groups = [_pad(start_N[group_n], length_N[group_n]) for group_n in _alike(length_N)]
        self._indices = [index_nL.to(device) for index_nL, _ in groups]
        index, is_text = (torch.cat([part.flatten() for part in parts]) for parts in zip(*groups, strict=True))
        kept_X = is_text.nonzero()[:, 0]
        self._back_X = kept_X[index[kept_X].argsort()].to(device)

    def __call__(self, cell: nn.RNNBase, x_BTD: Tensor, state: State | None) -> tuple[Tensor, None]:
        """See `Scan`."""
        assert state is None, "groups begin from nothing and leave nothing"
        x_XD = x_BTD.flatten(0, 1)
        outs = [scan_rows(cell, x_XD[index_nL], None)[0].flatten(0, 1) for index_nL in self._indices]
        return torch.cat(outs)[self._back_X].view_as(x_BTD), None


def _in_rows(start_N: Tensor, mask_N: Tensor) -> Tensor:
    """Numbers of the segments in the mask, one for each row, by row."""
    numbers_B = mask_N.nonzero()[:, 0]
    return numbers_B[start_N[numbers_B].argsort()]


def _alike(length_N: Tensor) -> Iterator[Tensor]:
    """Numbers of the segments of each group: lengths from one power of two to below the next."""
    power_N = length_N.double().frexp().exponent
    for power in power_N.unique():
        yield (power_N == power).nonzero()[:, 0]


def _pad(start_n: Tensor, length_n: Tensor) -> tuple[Tensor, Tensor]:
    """Places of the tokens of segments [n, L], the last one repeated; and which of them are not padding."""
    step_L, last_n1 = torch.arange(int(length_n.max())), length_n[:, None] - 1
    return start_n[:, None] + step_L.minimum(last_n1), step_L <= last_n1
