"""Any file to its records: opened, decompressed, looked at for binary content, and read by its kind."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import IO

from groundup.data.document import Record
from groundup.data.readers.json_records import read_json, read_jsonl
from groundup.data.readers.reading import Reading
from groundup.data.readers.tables import read_csv, read_parquet, read_tsv
from groundup.data.readers.text import read_html, read_text
from groundup.data.streams import DECOMPRESSION_ERRORS, Stream, open_stream

_HEAD_BYTES = 8 << 10
_CONTROL = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b")) + b"\x7f"
_MAX_CONTROL = 0.1
_READERS: dict[str, Callable[[Stream, str, Reading], Iterator[Record]]] = {
    "text": read_text,
    "html": read_html,
    "jsonl": read_jsonl,
    "json": read_json,
    "csv": read_csv,
    "tsv": read_tsv,
}


def read_records(
    open_file: Callable[[], IO[bytes]],
    kind: str,
    compression: str,
    reading: Reading,
    advance: Callable[[int], None],
) -> Iterator[Record]:
    """The records of a file of `kind` (see formats), in order; calls `advance` with bytes that were read.

    What is wrong with the file is yielded as Rejected, not raised.
    """
    encoding = reading.encoding
    try:
        if kind == "parquet" and not compression:
            with open_file() as file:
                yield from read_parquet(file, reading, advance)
            return
        stream, encoding = open_stream(open_file(), compression, "ascii" if kind == "parquet" else encoding, advance)
        with stream:
            if kind == "parquet":
                with tempfile.TemporaryFile() as file:
                    shutil.copyfileobj(stream, file)
                    yield from read_parquet(file, reading, lambda _: None)
            elif why := _binary(stream.peek(_HEAD_BYTES)[:_HEAD_BYTES]):
                yield reading.reject("binary", why, head=stream.peek(_HEAD_BYTES))
            else:
                yield from _READERS[kind](stream, encoding, reading)
    except DECOMPRESSION_ERRORS as error:
        yield reading.broken(f"cannot be decompressed: {error}")
    except UnicodeDecodeError as error:  # of utf-16 and utf-32, which are decoded before they are cut
        yield reading.not_decoded(error)


def _binary(head: bytes) -> str:
    """Why the beginning of a file says that it is no text; empty if it may be."""
    if (at := head.find(b"\0")) >= 0:
        return f"byte {at} is NUL"
    control = len(head) - len(head.translate(None, _CONTROL))
    return f"{control} of {len(head)} bytes are control characters" if control > _MAX_CONTROL * len(head) else ""
