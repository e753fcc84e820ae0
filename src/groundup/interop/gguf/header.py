"""What stands before the weights in a GGUF file: metadata, and the name, shape, type and place of each tensor.

The format: ggml-org/ggml, docs/gguf.md. gguf.GGUFReader reads the same (a test ties the two) but makes several arrays
for every word of the vocabulary, which takes seconds, and trusts the counts and lengths that stand in the file.
"""

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf.constants import GGML_QUANT_SIZES, GGUF_DEFAULT_ALIGNMENT, GGUF_VERSION, GGMLQuantizationType, GGUFValueType

from groundup.core.errors import UserError

_MAGIC = b"GGUF"
_MAX_DIMENSIONS = 4
_SCALARS = {
    GGUFValueType.UINT8: "B",
    GGUFValueType.INT8: "b",
    GGUFValueType.UINT16: "H",
    GGUFValueType.INT16: "h",
    GGUFValueType.UINT32: "I",
    GGUFValueType.INT32: "i",
    GGUFValueType.FLOAT32: "f",
    GGUFValueType.BOOL: "?",
    GGUFValueType.UINT64: "Q",
    GGUFValueType.INT64: "q",
    GGUFValueType.FLOAT64: "d",
}


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies in the file, and how."""

    name: str
    shape: tuple[int, ...]
    """Rows before columns, as torch has it; GGUF writes it the other way round."""
    type: GGMLQuantizationType
    offset: int
    """First byte in the file."""
    n_bytes: int


@dataclass(frozen=True)
class Header:
    """All of a GGUF file but the weights."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, StoredTensor]


def read_header(path: Path) -> Header:
    """Read the header and check that the file holds all that it announces.

    Raises UserError for a file that is not GGUF, of another version, truncated, or damaged.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist", "give the path of a .gguf file")
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise UserError(f"{path} is not a GGUF file: it does not begin with GGUF", "give the path of a .gguf file")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _parse(path, _Cursor(path, data))


class _Cursor:
    """Reads value after value, never beyond the end."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data, self.place = path, data, len(_MAGIC)

    def take(self, size: int) -> int:
        """The place of the next `size` bytes, which are passed."""
        place = self.place
        if size > len(self.data) - place:
            raise UserError(f"{self.path} is truncated: it ends within its header", "download or export it again")
        self.place += size
        return place

    def numbers(self, code: str, count: int = 1) -> tuple[Any, ...]:
        return struct.unpack_from(f"<{count}{code}", self.data, self.take(struct.calcsize(f"<{code}") * count))

    def number(self, code: str) -> int:
        return self.numbers(code)[0]

    def text(self) -> str:
        size = self.number("Q")
        place = self.take(size)
        try:
            return self.data[place : place + size].decode()
        except UnicodeDecodeError:
            raise self.damaged(f"text at byte {place} is not UTF-8") from None

    def value(self, kind: int) -> Any:
        if kind == GGUFValueType.STRING:
            return self.text()
        if kind == GGUFValueType.ARRAY:
            inner, count = self.number("I"), self.number("Q")
            if inner == GGUFValueType.STRING:
                return [self.text() for _ in range(count)]
            if inner in _SCALARS:
                return list(self.numbers(_SCALARS[GGUFValueType(inner)], count))
            raise self.damaged(f"a list of values of unknown type {inner}")
        if kind not in _SCALARS:
            raise self.damaged(f"a value of unknown type {kind}")
        return self.numbers(_SCALARS[GGUFValueType(kind)])[0]

    def damaged(self, why: str) -> UserError:
        return UserError(f"{self.path} is damaged: {why}", "download or export it again")


def _parse(path: Path, cursor: _Cursor) -> Header:
    version = cursor.number("I")
    if version not in (2, GGUF_VERSION):
        odd = "written for a big-endian machine" if version & 0xFFFF == 0 else f"of GGUF version {version}"
        raise UserError(f"{path} is {odd}; versions 2 and {GGUF_VERSION}, little-endian, are read", "convert it anew")
    n_tensors, n_values = cursor.numbers("Q", 2)
    metadata: dict[str, Any] = {}
    for _ in range(n_values):
        key = cursor.text()
        if key in metadata:
            raise cursor.damaged(f"{key} occurs twice")
        metadata[key] = cursor.value(cursor.number("I"))
    described = [_description(cursor) for _ in range(n_tensors)]
    alignment = metadata.get("general.alignment", GGUF_DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise cursor.damaged(f"alignment is {alignment}")
    start = -(-cursor.place // alignment) * alignment
    tensors: dict[str, StoredTensor] = {}
    for name, shape, kind, offset in described:
        if name in tensors:
            raise cursor.damaged(f"{name} occurs twice")
        tensors[name] = _placed(cursor, name, shape, kind, start + offset)
    return Header(path, metadata, tensors)


def _description(cursor: _Cursor) -> tuple[str, tuple[int, ...], int, int]:
    name, dimensions = cursor.text(), cursor.number("I")
    if dimensions > _MAX_DIMENSIONS:
        raise cursor.damaged(f"{name} has {dimensions} dimensions")
    shape = tuple(reversed(cursor.numbers("Q", dimensions)))
    return name, shape, cursor.number("I"), cursor.number("Q")


def _placed(cursor: _Cursor, name: str, shape: tuple[int, ...], kind: int, offset: int) -> StoredTensor:
    try:
        type_ = GGMLQuantizationType(kind)
    except ValueError:
        raise UserError(
            f"{cursor.path}: {name} has quantization number {kind}, which is not known", "quantize it another way"
        ) from None
    block, size = GGML_QUANT_SIZES[type_]
    if not shape or shape[-1] % block:
        raise cursor.damaged(f"rows of {name} are no whole number of {type_.name} blocks: shape {list(shape)}")
    n_bytes = math.prod(shape) // block * size
    if offset + n_bytes > len(cursor.data):
        raise UserError(
            f"{cursor.path} is truncated: {name} ends at byte {offset + n_bytes:,}, the file at {len(cursor.data):,}",
            "download or export it again",
        )
    return StoredTensor(name, shape, type_, offset, n_bytes)
