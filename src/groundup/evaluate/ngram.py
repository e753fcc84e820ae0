"""A byte-level n-gram model: what counting alone, without a neural network, makes of the training text.

Interpolated modified Kneser-Ney smoothing (Chen and Goodman, "An Empirical Study of Smoothing Techniques for
Language Modeling", 1999) over the 256 bytes. With c' the context c without its first byte:

    p_n(b | c) = max(count(c b) - D(count(c b)), 0) / count(c) + escape(c) * p_{n-1}(b | c')
    escape(c)  = (D(1) N_1(c) + D(2) N_2(c) + D(3) N_3+(c)) / count(c)

A context that training has not seen takes p_{n-1} as it is, and p_0 is 1/256. The longest n-grams are
counted as they are; below, count(c b) is the number of distinct bytes seen before it. Documents are
independent: each begins after a row of 0xFF, a byte that UTF-8 never holds, so no n-gram crosses from one
into the next.

N-grams are packed into uint64, earliest byte highest: a sorted array is the table, a binary search the
lookup.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from groundup.core.errors import UserError

Codes = npt.NDArray[np.uint64]
Reals = npt.NDArray[np.float64]

MAX_ORDER = 8  # bytes in a uint64
DEFAULT_ORDER = 7  # of 5, 6, 7, 8 the best on 5 MB of English plays
MAX_TRAIN_BYTES = 32 << 20
_START = 0xFF
_BLOCK_BYTES = 1 << 20
_BYTE = np.uint64(8)


def ngram_bits_per_byte(
    train: Iterable[str],
    held_out: Iterable[str],
    order: int = DEFAULT_ORDER,
    max_train_bytes: int = MAX_TRAIN_BYTES,
) -> float:
    """Bits per byte on `held_out` of an n-gram model counted on the first `max_train_bytes` of `train`.

    Each of the texts is a document. Raises UserError if either is empty.
    """
    model = NgramModel(train, order, max_train_bytes)
    bits, n_bytes = 0.0, 0
    for block in _blocks(held_out):
        probability = model.probability(block)
        bits -= float(np.log2(probability).sum())
        n_bytes += len(probability)
    if not n_bytes:
        raise UserError("the held-out text is empty", "give the validation split at least one document")
    return bits / n_bytes


class NgramModel:
    """Counts of all n-grams of 1 to `order` bytes, and the probabilities that follow from them.

    `order` counts the predicted byte too: order 7 sees six bytes back. Raises ValueError for an order outside
    [1, 8], UserError if there is no text.
    """

    def __init__(self, texts: Iterable[str], order: int, max_train_bytes: int = MAX_TRAIN_BYTES) -> None:
        if not 1 <= order <= MAX_ORDER:
            raise ValueError(f"order {order} is not between 1 and {MAX_ORDER}")
        documents = _first_bytes(texts, max_train_bytes)
        if not documents:
            raise UserError("the training text is empty", "give the training split at least one document")
        self.order = order
        grams, counts = np.unique(_codes(documents, order), return_counts=True)
        self._levels = [_Level.count(order, grams, counts)]
        for length in range(order - 1, 0, -1):
            grams, counts = np.unique(grams & _mask(length), return_counts=True)
            self._levels.insert(0, _Level.count(length, grams, counts))

    def probability(self, documents: list[bytes]) -> Reals:
        """The probability of each byte of the documents, given the bytes before it in its document."""
        codes = _codes(documents, self.order)
        # Queries repeat and, sorted, walk the tables in order: both save most of the cache misses.
        codes, places = np.unique(codes, return_inverse=True)
        probability = np.full(len(codes), 1 / 256)
        for level in self._levels:
            probability = level.interpolate(codes, probability)
        return probability[places]

    def distribution(self, context: bytes) -> Reals:
        """The probabilities of the 256 bytes that may follow `context`, the beginning of a document."""
        window = (bytes([_START]) * self.order + context)[len(context) + 1 :]
        codes = np.uint64(int.from_bytes(window, "big") << 8) | np.arange(256, dtype=np.uint64)
        probability = np.full(256, 1 / 256)
        for level in self._levels:
            probability = level.interpolate(codes, probability)
        return probability


@dataclass(frozen=True)
class _Level:
    """The n-grams of one length, sorted, and their contexts, sorted too."""

    length: int
    grams: Codes
    counts: npt.NDArray[np.int64]
    contexts: Codes
    totals: npt.NDArray[np.int64]
    escapes: Reals
    discounts: Reals

    @classmethod
    def count(cls, length: int, grams: Codes, counts: npt.NDArray[np.int64]) -> "_Level":
        contexts, first = np.unique(grams >> _BYTE, return_index=True)
        totals = np.add.reduceat(counts, first)
        discounts = _discounts(counts)
        escapes = np.add.reduceat(discounts[np.minimum(counts, 3)], first) / totals
        return cls(length, grams, counts, contexts, totals, escapes, discounts)

    def interpolate(self, codes: Codes, lower: Reals) -> Reals:
        """p_n from p_{n-1} (`lower`) for n-grams `codes`, of which the last `length` bytes are looked at."""
        grams = codes & _mask(self.length)
        at, known = _find(self.grams, grams)
        counts = np.where(known, self.counts[at], 0)
        context, known = _find(self.contexts, grams >> _BYTE)
        kept = np.maximum(counts - self.discounts[np.minimum(counts, 3)], 0)
        return np.where(known, kept / self.totals[context] + self.escapes[context] * lower, lower)


def _discounts(counts: npt.NDArray[np.int64]) -> Reals:
    """D(0), D(1), D(2), D(3 and more) from the counts of counts; a half where text is too short."""
    n_1, n_2, n_3, n_4 = (int(np.count_nonzero(counts == k)) for k in (1, 2, 3, 4))
    if not n_1 * n_2 * n_3:
        return np.array([0.0, 0.5, 0.5, 0.5])
    y = n_1 / (n_1 + 2 * n_2)
    found = np.array([0.0, 1 - 2 * y * n_2 / n_1, 2 - 3 * y * n_3 / n_2, 3 - 4 * y * n_4 / n_3])
    # The estimate may leave [0, k] on counts that no text would give; inside, probabilities stay proper.
    return np.clip(found, [0.0, 0.01, 0.01, 0.01], [0.0, 1.0, 2.0, 3.0])


def _codes(documents: list[bytes], order: int) -> Codes:
    """The last `order` bytes up to each byte of the documents, packed; shape [number of bytes]."""
    start = bytes([_START]) * (order - 1)
    stream = np.frombuffer(b"".join(start + document for document in documents), np.uint8)
    last = stream[order - 1 :]
    codes = last.astype(np.uint64)
    for back in range(1, order):
        codes |= stream[order - 1 - back : len(stream) - back].astype(np.uint64) << np.uint64(8 * back)
    return codes[last != _START]


def _mask(length: int) -> np.uint64:
    return np.uint64((1 << (8 * length)) - 1)


def _find(table: Codes, keys: Codes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Where each key is in the sorted table (some index if it is not), and whether it is there."""
    at = np.minimum(np.searchsorted(table, keys), len(table) - 1)
    return at, table[at] == keys


def _first_bytes(texts: Iterable[str], limit: int) -> list[bytes]:
    documents = []
    for text in texts:
        document = text.encode()[:limit]
        if document:
            documents.append(document)
        limit -= len(document)
        if limit <= 0:
            break
    return documents


def _blocks(texts: Iterable[str]) -> Iterator[list[bytes]]:
    """Documents in lists of about `_BLOCK_BYTES`: memory is bounded, and small documents go together."""
    block, size = [], 0
    for text in texts:
        block.append(text.encode())
        size += len(block[-1])
        if size >= _BLOCK_BYTES:
            yield block
            block, size = [], 0
    if size:
        yield block
