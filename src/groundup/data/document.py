"""What every source yields and every later step reads."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """One text: `name` is relative to its source (`book.txt`, `chat.jsonl#12`), `source` its label."""

    name: str
    text: str
    source: str
