"""What was chosen by looking at the machine or the clock, written down once.

A run that goes on after a cut reads them instead of choosing again, and so stays bit-identical.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from groundup.core.files import read_json, write_json

T = TypeVar("T", int, float, str)
FILE = "decisions.json"


class Decisions:
    """A small record of named choices in a folder; `example` holds choices of another run to follow."""

    def __init__(self, folder: Path, example: Mapping[str, Any] | None = None) -> None:
        self._example = example or {}
        self._path = folder / FILE
        self.made: dict[str, int | float | str] = read_json(self._path) if self._path.exists() else {}

    def once(self, name: str, choose: Callable[[], T]) -> T:
        """The recorded choice, or else that of the example, or else a new one; it is recorded."""
        if name not in self.made:
            self.made[name] = self._example[name] if name in self._example else choose()
            write_json(self._path, self.made)
        return self.made[name]  # pyrefly: ignore[bad-return]
