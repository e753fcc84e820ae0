"""Batch n is a pure function of (data fingerprint, seed, n): no iterator, no state, no ranks (Law 2).

B: rows of a batch, T: tokens of a row.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from groundup.core.errors import UserError
from groundup.core.rng import Permutation, derive_seed
from groundup.data.rows import IGNORE, PADDING, PackedRows, Row, Rows, WindowRows

__all__ = [
    "IGNORE",
    "PADDING",
    "Batch",
    "Batches",
    "PackedRows",
    "Row",
    "Rows",
    "WindowRows",
    "stack_rows",
]


@dataclass(frozen=True)
class Batch:
    """Rows to learn from."""

    inputs: npt.NDArray[np.int64]
    """[B, T] token ids; pad_id where there is padding."""
    labels: npt.NDArray[np.int64]
    """[B, T] the token that follows each input, IGNORE where it is not to be learned."""
    positions: npt.NDArray[np.int64]
    """[B, T] from 0 in each document (of what the row holds of it)."""
    documents: npt.NDArray[np.int32]
    """[B, T] number of the document within the row, from 0; PADDING for padding. Only equals may attend."""

    @property
    def has_borders(self) -> bool:
        """Whether a row holds padding or more than one document, so that attention needs a mask for it."""
        return bool((self.documents != 0).any())

    @property
    def n_labels(self) -> int:
        """Number of places at which something is to be learned."""
        return int((self.labels != IGNORE).sum())


class Batches:
    """Batches for training: endless, of `rows_per_batch` rows, by number.

    Each source is gone through in epochs, each in an order of its own. Several are mixed in proportion to
    weight × rows: after any number of rows, each has had its share to within one row for each source. With
    equal weights an epoch holds every row of every source once.
    """

    def __init__(self, sources: Sequence[tuple[Rows, float]], rows_per_batch: int, seed: int) -> None:
        assert sources and rows_per_batch > 0 and all(weight > 0 for _, weight in sources)
        self._rows = [rows for rows, _ in sources]
        self._weights = [weight for _, weight in sources]
        if lengths := {rows.seq_len for rows in self._rows if len(rows)} - {self._rows[0].seq_len}:
            raise UserError(
                f"sources of row length {self._rows[0].seq_len} and {lengths} do not mix", "use one seq_len"
            )
        self.rows_per_batch, self._seed = rows_per_batch, seed
        masses = [Fraction(weight).limit_denominator(10**9) * len(rows) for rows, weight in sources]
        self._shares = [mass / sum(masses[i:]) for i, mass in enumerate(masses)]  # of what those before it left
        self._permutation = lru_cache(maxsize=4 * len(sources))(self._make_permutation)

    @property
    def rows_per_epoch(self) -> int:
        """Rows of all sources together."""
        return sum(len(rows) for rows in self._rows)

    @property
    def steps_per_epoch(self) -> float:
        """Batches after which as many rows were drawn as there are."""
        return self.rows_per_epoch / self.rows_per_batch

    @property
    def fingerprint(self) -> str:
        """A hash of all that `batch(step)` depends on, but for the seed and the step."""
        parts = [f"{rows.fingerprint} {weight!r}" for rows, weight in zip(self._rows, self._weights, strict=True)]
        return hashlib.sha256("\n".join([*parts, str(self.rows_per_batch)]).encode()).hexdigest()

    def batch(self, step: int) -> Batch:
        """Batch `step`, from 0."""
        return self.slice(step, 0, self.rows_per_batch)

    def slice(self, step: int, start: int, stop: int) -> Batch:
        """Rows start ≤ row < stop of batch `step`: what one rank or micro-batch is to do."""
        assert 0 <= start < stop <= self.rows_per_batch and step >= 0
        first = step * self.rows_per_batch
        return stack_rows([self._rows[s].row(i) for s, i in self.addresses(first + start, first + stop)])

    def addresses(self, start: int, stop: int) -> list[tuple[int, int]]:
        """(source, row of it) for each place start ≤ place < stop in the endless order of rows."""
        draws = [self._draw(place) for place in range(start, stop)]
        chosen = np.zeros(len(draws), np.int64)
        groups: dict[tuple[int, int], list[int]] = {}
        for at, (source, draw) in enumerate(draws):
            chosen[at] = draw % len(self._rows[source])
            groups.setdefault((source, draw // len(self._rows[source])), []).append(at)
        for (source, epoch), ats in groups.items():
            chosen[ats] = self._permutation(source, epoch)(chosen[ats])
        return [(source, index) for (source, _), index in zip(draws, chosen.tolist(), strict=True)]

    def _draw(self, place: int) -> tuple[int, int]:
        """Source of a place, and how often it was drawn from before.

        Of the first n places the first source has ⌊n · share⌋; those left go to the next in the same way.
        """
        for source, share in enumerate(self._shares):
            before = place * share.numerator // share.denominator
            if (place + 1) * share.numerator // share.denominator > before:
                return source, before
            place -= before
        raise AssertionError("the last source takes all that is left")

    def _make_permutation(self, source: int, epoch: int) -> Permutation:
        return Permutation(len(self._rows[source]), derive_seed("rows", self._seed, source, epoch))


def stack_rows(rows: Sequence[Row]) -> Batch:
    """One batch of these rows."""
    return Batch(*(np.stack(arrays) for arrays in zip(*rows, strict=True)))
