"""Documents to token shards: `<split>-<source>-00000.bin/.idx`, and a `header.json` that names the tokenizer.

Each document is one sequence: its tokens and then end-of-text. A shard is complete when its `.idx` is there,
which is written last; so a run that was cut off goes on behind the last complete shard of each source.
"""

import os
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from groundup.core.errors import UserError
from groundup.core.files import atomic_writer, read_json, sha256_of, sync_folder, write_json
from groundup.core.progress import Reporter
from groundup.data.document import Document
from groundup.data.indexed import TokenShard, token_dtype, write_index

__all__ = ["Encode", "TokenShard", "Vocabulary", "open_shards", "read_header", "write_shards"]

HEADER = "header.json"
_FORMAT_VERSION = 1
_BATCH_BYTES = 4 << 20

_Integers = npt.NDArray[np.integer]
Encode = Callable[[list[str]], tuple[_Integers, _Integers]]
"""Texts to (all their tokens in a row [n], offsets [texts + 1] where each begins and the last one ends)."""


@dataclass(frozen=True)
class Vocabulary:
    """What shards must know of the tokenizer: content hash, number of token ids, and end-of-text id."""

    tokenizer: str
    size: int
    eot_id: int

    @property
    def facts(self) -> dict[str, Any]:
        """The part of the header that a reader must match."""
        return {
            "format_version": _FORMAT_VERSION,
            "tokenizer": self.tokenizer,
            "vocab_size": self.size,
            "eot_id": self.eot_id,
            "dtype": token_dtype(self.size).name,
        }


def write_shards(
    documents: Iterable[Document],
    encode: Encode,
    folder: Path,
    *,
    split: str,
    vocabulary: Vocabulary,
    shard_tokens: int,
    reporter: Reporter,
    total_bytes: int | None = None,
) -> dict[str, Any]:
    """Encode `documents` into shards of about `shard_tokens` tokens, each source apart.

    May be killed anywhere and called again. Returns facts: tokens, documents and bytes of text, per source
    too, and the speed of this call. `total_bytes` of text is for the progress bar. Raises UserError if
    `folder` holds shards of another tokenizer.
    """
    start = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    header = _join_header(folder, vocabulary, shard_tokens)
    encoded_bytes = 0.0
    if split not in header["splits"]:
        writers = _Writers(folder, split, vocabulary, shard_tokens)
        with reporter.task(f"encode {split}", total_bytes, "B") as task, writers:
            for batch in _batches(writers.unwritten(documents)):
                writers.add(batch, *encode([document.text for document, _ in batch]))
                task.advance(sum(size for _, size in batch))
            header["splits"][split] = writers.close()
        encoded_bytes = task.done
        write_json(folder / HEADER, header)
    sources = header["splits"][split]
    seconds = time.perf_counter() - start
    totals = {key: sum(facts[key] for facts in sources.values()) for key in ("tokens", "documents", "bytes")}
    speed = {"seconds": seconds, "encoded_bytes": encoded_bytes, "bytes_per_second": encoded_bytes / seconds}
    return totals | speed | {"dtype": header["dtype"], "sources": sources}


def read_header(folder: Path) -> dict[str, Any]:
    """The header of a folder of shards. Raises UserError if it is missing, broken or of a later format."""
    header = read_json(folder / HEADER)
    if header.get("format_version") != _FORMAT_VERSION:
        message = f"{folder / HEADER}: format {header.get('format_version')} is not known"
        raise UserError(message, "rebuild the shards")
    return header


def open_shards(folder: Path, split: str, *, expect_tokenizer: str, vocab_size: int) -> dict[str, list[TokenShard]]:
    """The shards of each source, in order.

    Raises UserError if another tokenizer wrote them, or one of them is cut or missing.
    """
    header = read_header(folder)
    for key, expected in (("tokenizer", expect_tokenizer), ("vocab_size", vocab_size)):
        if header[key] != expected:
            raise UserError(
                f"the shards in {folder} were written with {key} {header[key]}, not {expected}",
                "use the tokenizer that wrote them, or encode the documents again",
            )
    if split not in header["splits"]:
        hint = f"it holds: {', '.join(header['splits']) or 'none'}"
        raise UserError(f"{folder} holds no split '{split}'", hint)
    shards = {}
    for source, facts in header["splits"][split].items():
        shards[source] = [TokenShard(folder / shard["file"]) for shard in facts["shards"]]
        for shard, listed in zip(shards[source], facts["shards"], strict=True):
            if len(shard.tokens) != listed["tokens"] or shard.tokens.dtype.name != header["dtype"]:
                message = f"{shard.path} is not the shard that {HEADER} lists"
                raise UserError(message, "encode the documents again")
    return shards


def _join_header(folder: Path, vocabulary: Vocabulary, shard_tokens: int) -> dict[str, Any]:
    """The header in `folder`, made if there is none; what it says must be what is to be written."""
    expected = vocabulary.facts | {"shard_tokens": shard_tokens}
    if not (folder / HEADER).exists():
        write_json(folder / HEADER, expected | {"splits": {}})
    header = read_header(folder)
    for key, value in expected.items():
        if header.get(key) != value:
            raise UserError(
                f"{folder} holds shards written with {key} {header.get(key)}, not {value}",
                "delete the folder, or write into another one",
            )
    return header


def _batches(documents: Iterable[Document]) -> Iterator[list[tuple[Document, int]]]:
    """Lists of (document, its UTF-8 bytes) of about 4 MiB of text."""
    batch, total = [], 0
    for document in documents:
        size = len(document.text.encode())
        batch.append((document, size))
        total += size
        if total >= _BATCH_BYTES:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch


class _Writers:
    """A writer for each source that was met."""

    def __init__(self, folder: Path, split: str, vocabulary: Vocabulary, shard_tokens: int) -> None:
        self._folder, self._split, self._shard_tokens = folder, split, shard_tokens
        self._vocabulary = vocabulary
        self._writers: dict[str, _SourceWriter] = {}

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.abandon()

    def unwritten(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The documents that lie in no complete shard."""
        skip: dict[str, int] = {}
        for document in documents:
            source = document.source
            if source not in self._writers:
                stem = f"{self._split}-{source}"
                self._writers[source] = _SourceWriter(self._folder, stem, self._vocabulary, self._shard_tokens)
                skip[source] = self._writers[source].documents
            if skip[source]:
                skip[source] -= 1
            else:
                yield document

    def add(self, batch: list[tuple[Document, int]], tokens: _Integers, offsets: _Integers) -> None:
        """Append documents, of which document i has `tokens[offsets[i]:offsets[i + 1]]`."""
        assert len(offsets) == len(batch) + 1 and offsets[-1] == len(tokens)
        assert not len(tokens) or tokens.max() < self._vocabulary.size
        for (document, size), begin, end in zip(batch, offsets[:-1], offsets[1:], strict=True):
            self._writers[document.source].add(tokens[begin:end], size)

    def close(self) -> dict[str, Any]:
        """Complete the last shard of each source; facts of each."""
        return {source: writer.close() for source, writer in self._writers.items()}


class _SourceWriter:
    """Writes the shards of one source, one after the other."""

    def __init__(self, folder: Path, stem: str, vocabulary: Vocabulary, shard_tokens: int) -> None:
        self._folder, self._stem, self._shard_tokens = folder, stem, shard_tokens
        self._dtype = token_dtype(vocabulary.size)
        self._eot = np.array([vocabulary.eot_id], self._dtype).tobytes()
        self._paths: list[Path] = []
        while self._path(len(self._paths)).with_suffix(".idx").exists():
            self._paths.append(self._path(len(self._paths)))
        self.documents = sum(len(TokenShard(path).sizes) for path in self._paths)
        self._begin()

    def _path(self, number: int) -> Path:
        return self._folder / f"{self._stem}-{number:05d}.bin"

    def _begin(self) -> None:
        self._sizes, self._bytes, self._tokens = array("q"), array("q"), 0
        self._file: Any = None

    def add(self, tokens: npt.NDArray[Any], text_bytes: int) -> None:
        """Append one document of `text_bytes` bytes of text, and end-of-text behind it."""
        if self._file is None:
            path = self._path(len(self._paths))
            self._file = path.with_name(f".{path.name}.partial").open("wb")
        self._file.write(tokens.astype(self._dtype).tobytes() + self._eot)
        self._sizes.append(len(tokens) + 1)
        self._bytes.append(text_bytes)
        self._tokens += len(tokens) + 1
        self.documents += 1
        if self._tokens >= self._shard_tokens:
            self._finish()

    def _finish(self) -> None:
        """Complete the shard: tokens, bytes of the documents, and last the index, each synced."""
        path = self._path(len(self._paths))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        Path(self._file.name).replace(path)
        sync_folder(self._folder)
        with atomic_writer(path.with_suffix(".doc_bytes.npy")) as file:
            np.save(file, np.asarray(self._bytes, dtype=np.uint32), allow_pickle=False)
        with atomic_writer(path.with_suffix(".idx")) as file:
            write_index(file, self._sizes, self._dtype)
        self._paths.append(path)
        self._begin()

    def abandon(self) -> None:
        """Let go of a shard that is not complete; it is written anew by the next run."""
        if self._file is not None:
            self._file.close()

    def close(self) -> dict[str, Any]:
        """Complete the last shard; facts of all shards, read back from the disk."""
        if self._file is not None:
            self._finish()
        shards: list[dict[str, Any]] = []
        for path in self._paths:
            shard = TokenShard(path)
            shards.append(
                {
                    "file": path.name,
                    "tokens": len(shard.tokens),
                    "documents": len(shard.sizes),
                    "bytes": int(shard.document_bytes.sum(dtype=np.int64)),
                    "sha256": sha256_of(path),
                }
            )
        totals = {key: sum(shard[key] for shard in shards) for key in ("tokens", "documents", "bytes")}
        return totals | {"shards": shards}
