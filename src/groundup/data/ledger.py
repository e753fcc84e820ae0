"""What must be committed together: hashes of all documents seen, the cursor, and the counts.

An SQLite file, so that the hashes of any number of documents take bounded memory.
"""

import errno
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

_CACHE_KIB = 64 << 10


class Ledger:
    """A set of hashes and one state, both as of the last commit when opened again.

    `purpose` names the work: where the file is of another one, it is begun anew. Raises OSError if the disk
    is full.
    """

    def __init__(self, path: Path, purpose: str) -> None:
        self._path = path
        self._database = _open(path)
        found = self._database.execute("SELECT purpose, state FROM work").fetchone()
        if found is not None and found[0] != purpose:
            self.close()
            remove_ledger(path)
            self._database = _open(path)
            found = None
        self.state: Any = None if found is None else json.loads(found[1])
        self._purpose = purpose
        self._database.execute("BEGIN")

    def add(self, digest: bytes) -> bool:
        """Whether `digest` was not there yet; from now on it is."""
        try:
            return self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest,)).rowcount == 1
        except sqlite3.OperationalError as error:
            raise _as_os_error(error, self._path) from error

    def commit(self, state: Any) -> None:
        """Make `state` and the hashes that were added durable, or neither."""
        try:
            self._database.execute("REPLACE INTO work VALUES (1, ?, ?)", (self._purpose, json.dumps(state)))
            self._database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise _as_os_error(error, self._path) from error
        self._database.execute("BEGIN")

    def close(self) -> None:
        """Forget what was not committed."""
        self._database.close()


def remove_ledger(path: Path) -> None:
    """Delete the file, if it is there."""
    for suffix in ("-journal", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    try:
        database.execute("PRAGMA synchronous = FULL")
        database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        database.execute("CREATE TABLE IF NOT EXISTS seen (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        database.execute("CREATE TABLE IF NOT EXISTS work (id INTEGER PRIMARY KEY, purpose TEXT, state TEXT)")
    except sqlite3.OperationalError as error:
        database.close()
        raise _as_os_error(error, path) from error
    return database


def _as_os_error(error: sqlite3.OperationalError, path: Path) -> Exception:
    """What the disk did, as any other writer would tell it."""
    code = error.sqlite_errorcode & 0xFF  # the rest says which operation it was
    if code not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return error
    number = errno.ENOSPC if code == sqlite3.SQLITE_FULL else errno.EIO
    return OSError(number, os.strerror(number), str(path))
