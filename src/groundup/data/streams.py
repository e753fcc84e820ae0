"""Files as streams of bytes: counted as they are read, decompressed, and with LF as one byte."""

import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, TypeAlias

import zstandard

BLOCK = 1 << 16
Stream: TypeAlias = "io.BufferedReader[Any]"
# Small, because a few bytes of zstd can stand for many: 4 KiB decode to 128 MiB at the very most.
_ZSTD_BLOCK = 1 << 12

DECOMPRESSION_ERRORS = (gzip.BadGzipFile, zlib.error, zstandard.ZstdError, EOFError)
"""What reading a stream of `open_stream` may raise where the file is broken."""


class CountingStream(io.RawIOBase):
    """A binary file that calls `advance` with the number of bytes whenever some were read."""

    def __init__(self, file: IO[bytes], advance: Callable[[int], None]) -> None:
        self._file, self._advance = file, advance

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`; see io.RawIOBase."""
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._advance(len(data))
        return len(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


class _Chunks(io.RawIOBase):
    """A stream over an iterator of pieces of bytes."""

    def __init__(self, chunks: Iterator[bytes], below: io.IOBase) -> None:
        self._chunks, self._below = chunks, below
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        self._below.close()
        super().close()


def open_stream(file: IO[bytes], compression: str, encoding: str, advance: Callable[[int], None]) -> tuple[Stream, str]:
    """`file` decompressed, and the encoding that its bytes then have: `encoding`, but utf-8 for utf-16/32.

    Reading raises one of DECOMPRESSION_ERRORS where the file is broken, UnicodeDecodeError where it is not
    utf-16/32 as it should be.
    """
    stream: Stream = io.BufferedReader(CountingStream(file, advance), BLOCK)
    if compression == "gz":
        stream = io.BufferedReader(_Chunks(_gunzipped(stream), stream), BLOCK)
    elif compression == "zst":
        stream = io.BufferedReader(_Chunks(_unzstd(stream), stream), BLOCK)
    if not is_ascii_based(encoding):
        return io.BufferedReader(_Chunks(_transcoded(stream, encoding), stream), BLOCK), "utf-8"
    return stream, encoding


def is_ascii_based(encoding: str) -> bool:
    """Whether an ASCII character is the one byte that it is in ASCII."""
    return "\n".encode(encoding) == b"\n"


def _gunzipped(stream: Stream) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=stream, mode="rb") as plain:
        while block := plain.read(BLOCK):
            yield block


def _unzstd(stream: Stream) -> Iterator[bytes]:
    """Frames one after the other. zstandard's own stream_reader takes a cut file for a shorter one."""
    decompressor = zstandard.ZstdDecompressor()
    frame = None
    while block := stream.read(_ZSTD_BLOCK):
        while block:
            frame = frame or decompressor.decompressobj()
            yield frame.decompress(block)
            block = frame.unused_data if frame.eof else b""
            frame = None if frame.eof else frame
    if frame is not None:
        raise EOFError("the compressed file ends before its end-of-stream marker")


def _transcoded(stream: Stream, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    while block := stream.read(BLOCK):
        yield decoder.decode(block).encode()
    yield decoder.decode(b"", final=True).encode()
