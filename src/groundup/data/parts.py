"""Documents on the disk: Parquet parts `<split>-00000.parquet`, written and read in bounded memory."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from groundup.core.errors import UserError
from groundup.core.files import sync_folder
from groundup.data.document import Document

SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "name", "source", "text")])
_ROW_GROUP_BYTES = 8 << 20


def part_path(folder: Path, split: str, number: int) -> Path:
    """Where part `number` of a split lies."""
    return folder / f"{split}-{number:05d}.parquet"


def iter_documents(folder: Path, split: str) -> Iterator[Document]:
    """The documents of a split in order, one row group (at most 8 MiB and one document) at a time."""
    for path in _parts(folder, split):
        with pq.ParquetFile(path) as part:
            for group in range(part.num_row_groups):
                columns = part.read_row_group(group, columns=["name", "text", "source"]).to_pydict()
                for name, text, source in zip(*columns.values(), strict=True):
                    yield Document(name, text, source)


def count_documents(folder: Path, split: str) -> int:
    """Number of documents of a split, without reading them."""
    return sum(pq.read_metadata(path).num_rows for path in _parts(folder, split))


def _parts(folder: Path, split: str) -> list[Path]:
    parts = sorted(folder.glob(f"{split}-[0-9]*.parquet"))
    if not parts:
        raise UserError(f"{folder} holds no documents of split '{split}'", "build the documents first")
    return parts


class PartWriter:
    """Writes one part; it appears under its name when it is closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._file: IO[bytes] = self._partial.open("wb")
        # Statistics would put whole texts into the footer.
        self._writer = pq.ParquetWriter(
            self._file, SCHEMA, compression="zstd", use_dictionary=["source"], write_statistics=False
        )
        self._columns: tuple[list[str], ...] = ([], [], [], [])
        self._bytes = 0

    def add(self, digest: str, document: Document, size: int) -> None:
        """Append a document of `size` bytes of text; `digest` is its SHA-256."""
        values = (digest[:32], document.name, document.source, document.text)
        for column, value in zip(self._columns, values, strict=True):
            column.append(value)
        self._bytes += size
        if self._bytes >= _ROW_GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        if self._columns[0]:
            self._writer.write_table(pa.table(list(self._columns), schema=SCHEMA))
        self._columns, self._bytes = ([], [], [], []), 0

    def close(self) -> None:
        """Complete the part, synced."""
        self._write_group()
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._partial.replace(self._path)
        sync_folder(self._path.parent)

    def abandon(self) -> None:
        """Let go of a part that is not complete; it is written anew by the next run."""
        self._writer.is_open = False  # else it would write its footer when it is collected
        self._file.close()
