"""Text files: one document, documents between separators, or pieces of a file too long for one document."""

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from resiliparse.extract.html2text import extract_plain_text

from groundup.data.document import HEAD_CHARS, Record
from groundup.data.readers.reading import Reading
from groundup.data.streams import BLOCK, Stream

_READ = 1 << 20
_PARAGRAPHS = (b"\n\n", b"\n\r\n")


class _Piece(NamedTuple):
    offset: int
    data: bytes
    lost: int = 0
    """Bytes of a line that was too long; `data` is then its beginning."""


def read_text(stream: Stream, encoding: str, reading: Reading) -> Iterator[Record]:
    """The documents of a text file, numbered from 1 if a separator is given or there is more than one."""
    pieces = _pieces(stream, reading.separator.encode(encoding), reading.limit)
    first, second = next(pieces, None), next(pieces, None)
    if first and second is None and not reading.separator:
        yield _record(first, None, encoding, reading)
        return
    held = [piece for piece in (first, second) if piece]
    for number, piece in enumerate(chain(held, pieces), 1):
        yield _record(piece, number, encoding, reading)


def read_html(stream: Stream, encoding: str, reading: Reading) -> Iterator[Record]:
    """The main text of a page; menus, scripts and footers are left out."""
    data = stream.read(reading.limit + 1)
    if len(data) > reading.limit:
        yield reading.reject("too_long", f"more than {reading.limit} bytes", head=data)
        return
    try:
        page = data.decode(encoding)
    except UnicodeDecodeError as error:
        yield reading.not_decoded(error, 0)
        return
    yield reading.text(extract_plain_text(page, main_content=True))


def _record(piece: _Piece, number: int | None, encoding: str, reading: Reading) -> Record:
    if piece.lost:
        detail = f"{piece.lost} bytes, at most {reading.limit} are taken"
        return reading.reject("line_too_long", detail, number=number, size=piece.lost, head=piece.data)
    try:
        text = piece.data.decode(encoding)
    except UnicodeDecodeError as error:
        return reading.not_decoded(error, piece.offset, number=number)
    return reading.text(text.strip("\r\n") if reading.separator else text, number)


def _pieces(stream: Stream, separator: bytes, limit: int) -> Iterator[_Piece]:
    """Pieces of at most `limit` bytes; little more than that is ever held."""
    buffer, offset, ended, begun = bytearray(), 0, False, False
    while True:
        while not ended and len(buffer) <= limit + len(separator) and not (separator and separator in buffer):
            block = stream.read(_READ)
            buffer += block
            ended = not block
        if ended and begun and (not buffer or (separator and not buffer.strip())):
            return
        begun = True
        end, used = _cut(buffer, separator, limit)
        if end is None:
            head = bytes(buffer[: 4 * HEAD_CHARS])
            used, ended = _skip_line(stream, buffer, separator)
            yield _Piece(offset, head, used)
        else:
            yield _Piece(offset, bytes(buffer[:end]))
            del buffer[:used]
        offset += used


def _cut(buffer: bytearray, separator: bytes, limit: int) -> tuple[int | None, int]:
    """(end of the next piece, bytes that are then done with); the end is None where a line is too long."""
    if separator and (at := buffer.find(separator, 0, limit + len(separator))) >= 0:
        return at, at + len(separator)
    if len(buffer) <= limit:
        return len(buffer), len(buffer)
    paragraphs = [(buffer.rfind(mark, 0, limit), len(mark)) for mark in _PARAGRAPHS]
    end = max((at + length for at, length in paragraphs if at >= 0), default=0)
    end = end or buffer.rfind(b"\n", 0, limit) + 1
    return end or None, end


def _skip_line(stream: Stream, buffer: bytearray, separator: bytes) -> tuple[int, bool]:
    """Drop a line, or of it what is before a separator: (bytes that were dropped, whether the file ended)."""
    dropped, ended = 0, False
    while True:
        marks = [mark for mark in (b"\n", separator) if mark]
        found = [(at, at + len(mark)) for mark in marks if (at := buffer.find(mark)) >= 0]
        if found or ended:
            used = min(found)[1] if found else len(buffer)
            del buffer[:used]
            return dropped + used, ended
        used = max(0, len(buffer) - len(separator))  # a separator may lie across two blocks
        del buffer[:used]
        dropped += used
        block = stream.read(BLOCK)
        buffer += block
        ended = not block
