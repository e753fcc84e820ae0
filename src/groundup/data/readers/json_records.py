"""JSON Lines, and JSON files that are one object or an array of objects; arrays are read as a stream."""

import codecs
import json
from collections.abc import Iterator
from typing import Any

from groundup.data.document import Record
from groundup.data.readers.lines import Line, read_lines
from groundup.data.readers.reading import Reading
from groundup.data.streams import BLOCK, Stream

_SPACE = " \t\r\n"


def read_jsonl(stream: Stream, encoding: str, reading: Reading) -> Iterator[Record]:
    """One record a line, named by its line; blank lines are no records."""
    for line in read_lines(stream, reading.limit):
        if line.lost or line.data.strip():
            yield _line_record(line, encoding, reading)


def _line_record(line: Line, encoding: str, reading: Reading) -> Record:
    number, size = line.number, len(line.data)
    if line.lost:
        detail = f"{line.lost} bytes, at most {reading.limit} are taken"
        return reading.reject("line_too_long", detail, number=number, line=number, size=line.lost, head=line.data)
    try:
        record = json.loads(line.data.decode(encoding).removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        return reading.not_decoded(error, line.offset, number=number, line=number)
    except (ValueError, RecursionError) as error:
        return reading.reject(
            "broken", f"not JSON: {_told(error)}", number=number, line=number, size=size, head=line.data
        )
    return reading.field(record, number, number, size)


def read_json(stream: Stream, encoding: str, reading: Reading) -> Iterator[Record]:
    """The objects of an array, or the one object that the file is, numbered from 1."""
    feed = _Feed(stream, encoding, reading.limit)
    try:
        for number, (value, line, size) in enumerate(_values(feed), 1):
            yield reading.field(value, number, line, size)
    except UnicodeDecodeError as error:
        yield reading.not_decoded(error, feed.bytes_read - len(error.object))
    except (ValueError, RecursionError) as error:
        yield reading.broken(f"not JSON: {_told(error)}", line=feed.line)


def _told(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg}, column {error.colno}"
    return str(error)


def _values(feed: "_Feed") -> Iterator[tuple[Any, int, int]]:
    """(value, line, its length in characters)."""
    if feed.next_character() != "[":
        yield feed.value()
    else:
        feed.take()
        more = feed.next_character() != "]"
        while more:
            yield feed.value()
            mark = feed.next_character()
            if mark not in (",", "]"):
                raise ValueError("neither ',' nor ']' behind an element of the array")
            more = mark == ","
            if more:
                feed.take()
        feed.take()
    if feed.next_character():
        raise ValueError("text behind the end of the JSON value")


class _Feed:
    """The text of a file, decoded as it is needed; what was taken is forgotten."""

    def __init__(self, stream: Stream, encoding: str, limit: int) -> None:
        self._stream, self._limit = stream, limit
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._json = json.JSONDecoder()
        self._text, self._at, self._ended = "", 0, False
        self.line, self.bytes_read = 1, 0
        self._more()
        self._text = self._text.removeprefix("\ufeff")

    def next_character(self) -> str:
        """The next one that is no space, not taken yet; "" at the end."""
        while True:
            rest = self._text[self._at :].lstrip(_SPACE) if self._at < len(self._text) else ""
            self.take(len(self._text) - self._at - len(rest))
            if rest or self._ended:
                return rest[:1]
            self._more()

    def take(self, count: int = 1) -> None:
        """Go on by `count` characters."""
        self.line += self._text.count("\n", self._at, self._at + count)
        self._at += count

    def value(self) -> tuple[Any, int, int]:
        """The JSON value that begins here, its line, its length in characters; ValueError if none does."""
        self.next_character()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if self._ended:
                    raise
            else:
                if end < len(self._text) or self._ended:
                    line, size = self.line, end - self._at
                    self.take(size)
                    return value, line, size
            if len(self._text) - self._at > self._limit:
                raise ValueError(f"a value of more than {self._limit} characters, or one without an end")
            self._more()

    def _more(self) -> None:
        """Read as much again as is held, so that trying again costs no more than reading."""
        held = self._text[self._at :]
        block = self._stream.read(max(BLOCK, len(held)))
        self.bytes_read += len(block)
        self._ended = not block
        self._text, self._at = held + self._decoder.decode(block, final=self._ended), 0
