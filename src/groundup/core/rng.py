"""Randomness without state: seeds derived from names, permutations computed and not stored."""

import hashlib

import numpy as np
import numpy.typing as npt

_ROUNDS = 6


def derive_seed(*parts: str | int) -> int:
    """A 63-bit seed from names and numbers: the same parts always give the same seed, others an unrelated one."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


class Permutation:
    """A pseudo-random permutation of range(n), evaluated at any index without holding a table.

    A balanced Feistel network over the next even power of two, with cycle walking back into range
    (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002).
    """

    def __init__(self, n: int, seed: int) -> None:
        if n < 1:
            raise ValueError(f"a permutation needs at least one element, not {n}")
        self.n = n
        self._half_bits = max(1, ((n - 1).bit_length() + 1) // 2)
        self._keys = [np.uint64(derive_seed("feistel", seed, i)) for i in range(_ROUNDS)]

    def __call__(self, index: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Images of `index` (any shape, values in [0, n))."""
        index_ = np.atleast_1d(np.asarray(index, dtype=np.int64))
        if index_.size and (index_.min() < 0 or index_.max() >= self.n):
            raise IndexError(f"index outside [0, {self.n})")
        value = self._encrypt(index_.astype(np.uint64))
        while (outside := value >= self.n).any():
            value[outside] = self._encrypt(value[outside])
        return value.astype(np.int64).reshape(np.shape(index))

    def _encrypt(self, value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        bits = np.uint64(self._half_bits)
        mask = np.uint64((1 << self._half_bits) - 1)
        left, right = value >> bits, value & mask
        for key in self._keys:
            left, right = right, left ^ (_mix(right, key) & mask)
        return (left << bits) | right


def _mix(value: npt.NDArray[np.uint64], key: np.uint64) -> npt.NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele et al. 2014), keyed; arithmetic is modulo 2^64."""
    with np.errstate(over="ignore"):
        value = value * np.uint64(0x9E3779B97F4A7C15) + key
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
