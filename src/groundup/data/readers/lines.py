"""Lines of bounded length."""

from collections.abc import Iterator
from typing import NamedTuple

from groundup.data.streams import BLOCK, Stream


class Line(NamedTuple):
    """One line: number from 1, offset in the file, its bytes with their line end."""

    number: int
    offset: int
    data: bytes
    lost: int = 0
    """Its length, if that is more than the limit; `data` is then its beginning."""


def read_lines(stream: Stream, limit: int) -> Iterator[Line]:
    """The lines of a file; of one of more than `limit` bytes only the beginning, the rest is read past."""
    number, offset = 0, 0
    while data := stream.readline(limit + 2):
        number += 1
        size = len(data)
        if len(data.rstrip(b"\r\n")) <= limit:
            yield Line(number, offset, data)
        else:
            tail = data
            while not tail.endswith(b"\n") and (tail := stream.readline(BLOCK)):
                size += len(tail)
            yield Line(number, offset, data, size)
        offset += size
