"""A string that knows which of it people said: what a chat template writes can be told from what it was given.

Templates are programs, and do to messages what programs do to strings: strip, cut, split, join. To all of them
this is an ordinary string; only where it goes out into the text, it goes between marks.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, SupportsIndex

OPEN, CLOSE = "[", "]"
"""Behind a mark: here begins, here ends, what was said."""

_WHOLE = (
    *("capitalize", "casefold", "center", "expandtabs", "join", "ljust", "lower"),
    *("partition", "removeprefix", "removesuffix", "replace", "rjust", "rpartition", "rsplit", "splitlines"),
    *("swapcase", "title", "translate", "upper", "zfill", "__mul__", "__rmul__"),
)
"""What these give counts as said from end to end: rather a token too few than one that a person forged."""


class Said(str):
    """Text of which `flags` says, character by character, whether a person said it (`1`) or a template (`0`)."""

    flags: bytes
    mark: str

    def __new__(cls, text: str, mark: str, flags: bytes = b"") -> "Said":  # noqa: D102 (told by the class)
        self = super().__new__(cls, text)
        self.mark = mark
        self.flags = flags or b"1" * len(self)
        return self

    def __str__(self) -> str:
        """The text with marks around what was said."""
        found, start = [], 0
        while start < len(self):
            flag = self.flags[start : start + 1]
            end = len(self) - len(self.flags[start:].lstrip(flag))
            piece = str.__getitem__(self, slice(start, end))
            found.append(f"{self.mark}{OPEN}{piece}{self.mark}{CLOSE}" if flag == b"1" else piece)
            start = end
        return "".join(found)

    def __repr__(self) -> str:
        """As `str`, between marks: this is how a list of strings is written."""
        return f"{self.mark}{OPEN}{super().__repr__()}{self.mark}{CLOSE}"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __getitem__(self, key: SupportsIndex | slice) -> "Said":
        if not isinstance(key, slice):
            key = slice(key, (key.__index__() + 1) or None)
            if not str.__getitem__(self, key):
                raise IndexError("string index out of range")
        return Said(str.__getitem__(self, key), self.mark, self.flags[key])

    def __iter__(self) -> Iterator["Said"]:
        return (self[i] for i in range(len(self)))

    def __add__(self, other: str) -> "Said":
        return Said(str.__add__(self, other), self.mark, self.flags + _flags(other))

    def __radd__(self, other: str) -> "Said":
        return Said(str.__add__(other, self), self.mark, _flags(other) + self.flags)

    def lstrip(self, chars: str | None = None, /) -> "Said":
        """As `str.lstrip`."""
        return self[len(self) - len(str.lstrip(self, chars)) :]

    def rstrip(self, chars: str | None = None, /) -> "Said":
        """As `str.rstrip`."""
        return self[: len(str.rstrip(self, chars))]

    def strip(self, chars: str | None = None, /) -> "Said":
        """As `str.strip`."""
        return self.lstrip(chars).rstrip(chars)

    def split(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        """As `str.split`."""
        found, start = [], 0
        for piece in str.split(self, sep, maxsplit):
            start = str.index(self, piece, start)
            found.append(self[start : start + len(piece)])
            start += len(piece) + len(sep or "")
        return found


def _flags(text: str) -> bytes:
    return text.flags if isinstance(text, Said) else b"0" * len(text)


def _said_whole(value: Any, mark: str) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_said_whole(part, mark) for part in value)
    return Said(str.__str__(value), mark) if isinstance(value, str) else value


def _whole(name: str) -> Callable[..., Any]:
    plain = getattr(str, name)

    def method(self: Said, *args: Any, **kwargs: Any) -> Any:
        return _said_whole(plain(self, *args, **kwargs), self.mark)

    return method


for _name in _WHOLE:
    setattr(Said, _name, _whole(_name))


def shown(value: Any) -> Any:
    """`value` with marks in all strings that were said, for what would not ask them: JSON, methods of strings."""
    if isinstance(value, Said):
        return str(value)
    if isinstance(value, dict):
        return {shown(key): shown(part) for key, part in value.items()}
    return type(value)(shown(part) for part in value) if isinstance(value, (list, tuple)) else value


def mark_in(values: Iterable[Any]) -> str:
    """The mark of a string among `values`, or in a list among them, that was said; empty if there is none."""
    for value in values:
        if isinstance(value, Said):
            return value.mark
        if isinstance(value, (list, tuple)) and (mark := mark_in(value)):
            return mark
    return ""
