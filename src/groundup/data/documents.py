"""Sources to documents: cleaned of duplicates and broken ones, split, and written in parts.

At the end of each part everything is committed together, so that a run which was killed goes on behind the
last complete part, and ends with the same bytes as one that was not.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from groundup.core.errors import UserError
from groundup.core.files import read_json, write_json, write_text
from groundup.core.progress import Reporter
from groundup.core.rng import derive_seed
from groundup.data.config import DataConfig
from groundup.data.document import HEAD_CHARS, Document, Listing, Record, Rejected, Text
from groundup.data.ledger import Ledger, remove_ledger
from groundup.data.outcome import (
    REJECTS,
    assert_reconciled,
    check_holdout,
    check_outcome,
    describe_outcome,
    matches,
)
from groundup.data.parts import PartWriter, count_documents, iter_documents, part_path
from groundup.data.sources.listing import list_source

__all__ = ["Document", "build_documents", "count_documents", "iter_documents"]

SPLITS = ("train", "validation")
FACTS = "documents.json"
_FINISHED = ".finished"
_LEDGER = "work.sqlite"
_PART_BYTES = 64 << 20


def build_documents(config: DataConfig, folder: Path, cache: Path, seed: int, reporter: Reporter) -> dict[str, Any]:
    """Write the documents of all sources to `folder`; what was dropped, and why, to `rejects.jsonl`.

    May be killed anywhere and called again. Packages are kept in `cache`. Returns facts: documents, bytes and
    characters by split and source, rejects by reason, ignored files. Raises UserError where a source is missing
    or broken, a split is empty, the holdout matches nothing, or too much was rejected.
    """
    start = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    listings = [list_source(source, config.max_document_bytes, cache, reporter) for source in config.sources]
    check_holdout(config.holdout, listings)
    purpose = _purpose(config, listings, seed)
    finished = folder / _FINISHED
    taken = 0
    if not finished.exists() or finished.read_text() != purpose:
        finished.unlink(missing_ok=True)
        total = sum(file.size for listing in listings for file in listing.files)
        build = _Build(config, folder, seed, Ledger(folder / _LEDGER, purpose))
        with reporter.task("read documents", total or None, "B") as task, build:
            build.run(listings, task.advance)
        check_outcome(config, build.state, listings, folder)
        write_json(folder / FACTS, describe_outcome(build.state, listings))
        write_text(finished, purpose)
        taken = build.taken_bytes
    remove_ledger(folder / _LEDGER)
    seconds = time.perf_counter() - start
    speed = {"seconds": seconds, "bytes_per_second": taken / seconds if taken else None}
    return read_json(folder / FACTS) | speed


def _purpose(config: DataConfig, listings: list[Listing], seed: int) -> str:
    """A hash of all that the documents depend on: the config, the seed, and the files with size and time."""
    digest = hashlib.sha256(config.model_dump_json(exclude={"max_rejected"}).encode())
    digest.update(str(seed).encode())
    for listing in listings:
        for file in listing.files:
            digest.update(json.dumps([listing.label, file.name, file.stamp]).encode())
    return digest.hexdigest()


def _records(
    listings: list[Listing], cursor: list[int], advance: Callable[[int], None]
) -> Iterator[tuple[str, Record, list[int]]]:
    """(source, record, cursor behind it) from `cursor` on, which is [source, file, record]."""
    for s, listing in enumerate(listings):
        for f, file in enumerate(listing.files):
            if [s, f] < cursor[:2]:
                advance(file.size)
                continue
            behind = cursor[2] if [s, f] == cursor[:2] else 0
            for r, record in enumerate(file.read(advance)):
                if r >= behind:
                    yield listing.label, record, [s, f, r + 1]


def _blank_state() -> dict[str, Any]:
    """What is committed with each part. Counts are [documents, bytes], of what is kept characters too."""
    return {
        "cursor": [0, 0, 0],
        "parts": dict.fromkeys(SPLITS, 0),
        "rejects_bytes": 0,
        "seen": {},
        "kept": {split: {} for split in SPLITS},
        "rejected": {},
        "first_reject": {},
        "matched": [],
    }


class _Build:
    """The work from one commit to the next."""

    def __init__(self, config: DataConfig, folder: Path, seed: int, ledger: Ledger) -> None:
        self._config, self._folder, self._seed, self._ledger = config, folder, seed, ledger
        self.state: dict[str, Any] = ledger.state or _blank_state()
        self._parts: dict[str, PartWriter] = {}
        self._matched = set(self.state["matched"])
        self._uncommitted_bytes = 0
        self.taken_bytes = 0
        self._rejects: IO[bytes] = (folder / REJECTS).open("ab")
        self._rejects.truncate(self.state["rejects_bytes"])
        for split in SPLITS:
            for path in folder.glob(f"{split}-[0-9]*.parquet"):
                if path >= part_path(folder, split, self.state["parts"][split]):
                    path.unlink()  # complete, but the run was killed before the commit

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self._rejects.close()
        for part in self._parts.values():
            part.abandon()
        self._ledger.close()

    def run(self, listings: list[Listing], advance: Callable[[int], None]) -> None:
        """Take all records behind the cursor."""
        for source, record, cursor in _records(listings, self.state["cursor"], advance):
            self._take(source, record)
            if self._uncommitted_bytes >= _PART_BYTES:
                self._commit(cursor)
        self._commit([len(listings), 0, 0])

    def _take(self, source: str, record: Record) -> None:
        """Keep or reject one record, and count it."""
        if isinstance(record, Rejected):
            if record.reason == "broken" and self._config.on_broken == "stop":
                hint = record.hint or "put it right"
                message = f"{record.location or record.name}: {record.detail}"
                raise UserError(message, f'{hint}, or skip what is broken with data.on_broken = "skip"')
            self._reject(source, record)
            return
        try:
            data = record.text.encode()
        except UnicodeEncodeError as error:
            lost = len(record.text.encode(errors="replace"))
            detail = f"character {error.start} is half of a surrogate pair"
            self._reject(source, Rejected(record.name, "not_utf8", detail, lost))
            return
        digest = hashlib.sha256(data).digest()
        if why := self._why_not(record, digest):
            head = record.text[:HEAD_CHARS]
            self._reject(source, Rejected(record.name, *why, size=len(data), head=head))
            return
        split = self._split(record.name, digest)
        self._see(source, len(data))
        _count(self.state["kept"][split], source, 1, len(data), len(record.text))
        if split not in self._parts:
            path = part_path(self._folder, split, self.state["parts"][split])
            self._parts[split] = PartWriter(path)
        self._parts[split].add(digest.hex(), Document(record.name, record.text, source), len(data))

    def _why_not(self, record: Text, digest: bytes) -> tuple[str, str] | None:
        """(reason, detail) for which a text is no document."""
        length = len(record.text.strip())
        if not length:
            return "empty", "no text"
        if length < self._config.min_chars:
            return "too_short", f"{length} characters, at least {self._config.min_chars} are wanted"
        if not self._ledger.add(digest[:16]):
            return "duplicate", f"of the document with id {digest.hex()[:32]}"
        return None

    def _split(self, name: str, digest: bytes) -> str:
        if self._config.holdout:
            patterns = [pattern for pattern in self._config.holdout if matches(pattern, name)]
            self._matched.update(patterns)
            return "validation" if patterns else "train"
        share = derive_seed("validation", self._seed, digest.hex()) / 2**63
        return "validation" if share < self._config.validation_fraction else "train"

    def _reject(self, source: str, rejected: Rejected) -> None:
        self._see(source, rejected.size)
        _count(self.state["rejected"], rejected.reason, 1, rejected.size)
        self.state["first_reject"].setdefault(rejected.reason, rejected.location or rejected.name)
        line = {
            "name": rejected.name,
            "source": source,
            "reason": rejected.reason,
            "detail": rejected.detail,
            "bytes": rejected.size,
            "head": rejected.head,
        }
        self._rejects.write(json.dumps(line, ensure_ascii=False).encode(errors="replace") + b"\n")

    def _see(self, source: str, size: int) -> None:
        _count(self.state["seen"], source, 1, size)
        self._uncommitted_bytes += size
        self.taken_bytes += size

    def _commit(self, cursor: list[int]) -> None:
        """Complete the parts, then make hashes, cursor and counts durable in one transaction."""
        for split, part in self._parts.items():
            part.close()
            self.state["parts"][split] += 1
        self._parts = {}
        self._rejects.flush()
        os.fsync(self._rejects.fileno())
        self.state |= {
            "cursor": cursor,
            "rejects_bytes": self._rejects.tell(),
            "matched": sorted(self._matched),
        }
        assert_reconciled(self.state)
        self._ledger.commit(self.state)
        self._uncommitted_bytes = 0


def _count(counts: dict[str, list[int]], key: str, *amounts: int) -> None:
    total = counts.setdefault(key, [0] * len(amounts))
    total[:] = [a + b for a, b in zip(total, amounts, strict=True)]
