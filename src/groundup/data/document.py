"""What sources yield: documents, and what could not be one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

HEAD_CHARS = 200
"""How much of a rejected text is kept to look at."""


@dataclass(frozen=True, slots=True)
class Document:
    """One text: `name` is relative to its source (`book.txt`, `chat.jsonl#12`), `source` its label."""

    name: str
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Text:
    """A text as it was read from a file."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """What could not be read as text, and why."""

    name: str
    reason: str
    """`binary`, `not_<encoding>`, `line_too_long`, `too_long`, `broken`; later steps add their own."""
    detail: str
    size: int
    """Bytes that are lost."""
    head: str = ""
    location: str = ""
    """Where: the file, and line if there are lines."""
    hint: str = ""
    """What a person could do, if the reason is `broken`."""


Record = Text | Rejected


@dataclass(frozen=True)
class SourceFile:
    """One file of a source, not opened yet."""

    name: str
    size: int
    """In bytes, 0 if unknown; what `read` reports adds up to it."""
    stamp: str
    """Another one when the content is another."""
    read: Callable[[Callable[[int], None]], Iterator[Record]]
    """Yield its records, always the same in the same order; calls its argument with bytes that were read."""


@dataclass(frozen=True)
class Listing:
    """The files of one source, in order, and how many were ignored by their ending."""

    label: str
    files: tuple[SourceFile, ...]
    ignored: dict[str, int]
