"""Metadata of a model, read key by key so that none is overlooked."""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from groundup.core.errors import UserError

_Value = TypeVar("_Value", int, float, bool, str)


class Values:
    """Metadata of one architecture. Keys are gguf's (`{arch}.block_count`); what was read is remembered."""

    def __init__(
        self, source: str, arch: str, metadata: Mapping[str, Any], frequency_factors: Tensor | None = None
    ) -> None:
        self.source, self.arch = source, arch
        self.frequency_factors = frequency_factors
        """Numbers of `rope_freqs.weight`, if the file has it."""
        self._own = {key: value for key, value in metadata.items() if key.startswith(f"{arch}.")}
        self._read: set[str] = set()

    def integer(self, key: str, default: int | None = None) -> int:
        """A whole number. Raises UserError if it is missing without a default, or of another type."""
        return self._get(key, int, default)

    def real(self, key: str, default: float | None = None) -> float:
        """A number stored as fp32, as the shortest decimal that is stored so: 1e-06 and not 9.99999997e-07."""
        found = self._get(key, float, default)
        return float(str(np.float32(found)))

    def flag(self, key: str, default: bool | None = None) -> bool:
        """True or false."""
        return self._get(key, bool, default)

    def text(self, key: str, default: str | None = None) -> str:
        """A word."""
        return self._get(key, str, default)

    def pattern(self, key: str, default: int) -> int | list[bool]:
        """A number or a list of true and false."""
        found = self._own.get(self._name(key))
        if isinstance(found, list) and found and all(isinstance(item, bool) for item in found):
            return found
        return self.integer(key, default)

    def unread(self, ignored: tuple[str, ...]) -> list[str]:
        """Keys that nobody asked for, but for those to ignore."""
        known = self._read | {f"{self.arch}.{key}" for key in ignored}
        return sorted(self._own.keys() - known)

    def refused(self, key: str, why: str) -> UserError:
        """An error about one key."""
        return UserError(f"{self.source}: {self._name(key)} is {why}", "this is not supported")

    def _get(self, key: str, kind: type[_Value], default: _Value | None) -> _Value:
        name = self._name(key)
        found = self._own.get(name, default)
        if found is None:
            raise UserError(f"{self.source} has no {name}", "the file is not a whole model; convert it anew")
        if type(found) is not kind and not (kind is float and type(found) is int):
            shown = "one value for each layer" if isinstance(found, list) else repr(found)
            raise self.refused(key, f"{shown}, not of type {kind.__name__}")
        return found  # pyrefly: ignore[bad-return]

    def _name(self, key: str) -> str:
        name = key.format(arch=self.arch)
        self._read.add(name)
        return name
