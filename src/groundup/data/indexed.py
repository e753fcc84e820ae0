"""The Megatron-LM indexed format: tokens in `X.bin`, where each document lies in `X.idx`.

Layout of the index, little-endian (megatron/core/datasets/indexed_dataset.py): magic, version u64, dtype
code u8, sequence count u64, length of the document index u64 (documents + 1), then int32 tokens of each
sequence, int64 byte offset of each sequence, int64 number of the sequence at which each document begins
(and the last one ends).
"""

import struct
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from groundup.core.errors import UserError
from groundup.core.files import sha256_of

_MAGIC = b"MMIDIDX\x00\x00"
_VERSION = 1
_HEADER = struct.Struct("<9sQBQQ")
_DTYPES = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 8: "uint16"}
_CODES = {name: code for code, name in _DTYPES.items()}


def token_dtype(vocab_size: int) -> np.dtype[Any]:
    """The narrowest dtype of the format that holds every token of the vocabulary."""
    return np.dtype("<u2" if vocab_size <= 1 << 16 else "<i4")


def write_index(file: IO[bytes], sizes: npt.ArrayLike, dtype: np.dtype[Any]) -> None:
    """Write the index of a `.bin` file of `dtype`: each document is one sequence of `sizes` tokens."""
    sizes_ = np.asarray(sizes, dtype="<i4")
    pointers = np.zeros(len(sizes_), dtype="<i8")
    np.cumsum(sizes_[:-1], dtype="<i8", out=pointers[1:])
    file.write(_HEADER.pack(_MAGIC, _VERSION, _CODES[dtype.name], len(sizes_), len(sizes_) + 1))
    file.write(sizes_.tobytes())
    file.write((pointers * dtype.itemsize).tobytes())
    file.write(np.arange(len(sizes_) + 1, dtype="<i8").tobytes())


class TokenShard:
    """A pair of `.bin` and `.idx` files, mapped into memory when first read; `path` is that of the `.bin`.

    Reads what Megatron-LM wrote as well. Raises UserError on first use if the files do not fit each other.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._index_path = path.with_suffix(".idx")

    @cached_property
    def _index(self) -> tuple[np.dtype[Any], npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Dtype, tokens of each sequence, sequence at which each document begins (and the last one ends)."""
        for path in (self.path, self._index_path):
            if not path.is_file():
                raise UserError(f"{path} does not exist", "a shard is a .bin and an .idx file side by side")
        with self._index_path.open("rb") as file:
            head = file.read(_HEADER.size)
        if len(head) < _HEADER.size or not head.startswith(_MAGIC):
            raise UserError(f"{self._index_path} is not a Megatron index", "rebuild the shards")
        _, version, code, sequences, documents = _HEADER.unpack(head)
        if version != _VERSION or code not in _DTYPES:
            message = f"{self._index_path}: version {version}, dtype code {code}"
            raise UserError(message, "only version 1 with integer tokens is read")
        plain = _HEADER.size + 12 * sequences + 8 * documents
        found = self._index_path.stat().st_size
        if found not in (plain, plain + sequences) or not sequences or not documents:  # + modes of multimodal data
            message = f"{self._index_path} has {found} bytes, its head asks for {plain}"
            raise UserError(message, "rebuild the shards")
        raw = np.memmap(self._index_path, mode="r")
        sizes = raw[_HEADER.size :][: 4 * sequences].view("<i4")
        pointers = raw[_HEADER.size + 4 * sequences :][: 8 * sequences].view("<i8")
        starts = raw[_HEADER.size + 12 * sequences :][: 8 * documents].view("<i8")
        dtype = np.dtype(_DTYPES[code]).newbyteorder("<")
        self._check(sizes, pointers, starts, dtype.itemsize)
        return dtype, sizes, starts

    def _check(self, sizes: Any, pointers: Any, starts: Any, itemsize: int) -> None:
        ends = np.cumsum(sizes, dtype=np.int64) * itemsize
        found = self.path.stat().st_size
        if ends[-1] != found:
            raise UserError(
                f"{self.path} has {found} bytes, its index {self._index_path.name} asks for {ends[-1]}",
                "the file was cut or belongs to another index; rebuild the shards",
            )
        whole = sizes.min() >= 0 and found > 0 and (pointers == ends - sizes.astype(np.int64) * itemsize).all()
        if not whole or starts[0] != 0 or starts[-1] != len(sizes) or (np.diff(starts) < 0).any():
            raise UserError(f"{self._index_path} contradicts itself", "rebuild the shards")

    @cached_property
    def tokens(self) -> npt.NDArray[Any]:
        """All tokens of the shard, [n], mapped read-only."""
        return np.memmap(self.path, dtype=self._index[0], mode="r")

    @cached_property
    def document_ends(self) -> npt.NDArray[np.int64]:
        """For each document the position behind its last token, [documents]."""
        _, sizes, starts = self._index
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])
        return ends[starts[1:]]

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Tokens of each document, its end-of-text token included, [documents]."""
        return np.diff(self.document_ends, prepend=0)

    @cached_property
    def document_bytes(self) -> npt.NDArray[np.uint32]:
        """UTF-8 bytes of the text of each document, [documents]; of a shard that groundup wrote."""
        return np.load(self.path.with_suffix(".doc_bytes.npy"), allow_pickle=False)

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of both files (reads them whole)."""
        return sha256_of(self.path) + sha256_of(self._index_path)

    def check_ids(self, vocab_size: int) -> None:
        """Raise UserError if a token lies outside the vocabulary; for shards from elsewhere (slow)."""
        for start in range(0, len(self.tokens), 1 << 24):
            block = self.tokens[start : start + (1 << 24)]
            if block.max() >= vocab_size or block.min() < 0:
                raise UserError(
                    f"{self.path} holds token {block.max()}, the vocabulary has {vocab_size}",
                    "use the tokenizer with which the shard was written",
                )
