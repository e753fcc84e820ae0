"""An artifact: a folder of files and the manifest that says what they are and where they come from."""

import hashlib
import json
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from groundup import __version__
from groundup.core.errors import UserError
from groundup.core.files import read_json, sha256_of, write_json

FORMAT = 1
"""Version of the layout of artifacts. A reader refuses what is newer."""
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """What an artifact is: config, inputs by content hash, versions, checksum of each file."""

    stage: str
    key: str
    """Hash of everything that the artifact follows from: equal keys need no new run."""
    hash: str
    """Hash of the files that later stages read: equal hashes are the same content."""
    seconds: float
    config: dict[str, Any]
    inputs: dict[str, str]
    files: dict[str, dict[str, Any]]
    decisions: dict[str, Any]
    facts: dict[str, Any]
    format: int = FORMAT
    groundup: str = __version__
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    versions: dict[str, str] = field(
        default_factory=lambda: {"python": platform.python_version(), "torch": str(torch.__version__)}
    )


@dataclass(frozen=True)
class Artifact:
    """A finished artifact on disk."""

    folder: Path
    manifest: Manifest

    def verify(self) -> None:
        """Raise UserError if a file is missing or differs from what was written."""
        for name, expected in self.manifest.files.items():
            path = self.folder / name
            if not path.exists() or sha256_of(path) != expected["sha256"]:
                raise UserError(
                    f"{path} is damaged: it does not have the checksum in {self.folder / MANIFEST}",
                    f"delete {self.folder} and build again: only that stage and those after it run",
                )


def require_run(run: Path) -> None:
    """Raise UserError if there is no such folder."""
    if not run.is_dir():
        problem = "is a file, not a folder" if run.exists() else "does not exist"
        raise UserError(f"{run} {problem}", "give the folder of a run, such as runs/shakespeare")


def read_artifact(folder: Path) -> Artifact | None:
    """The artifact in `folder`, or None if there is none. Raises UserError if a newer groundup wrote it."""
    path = folder / MANIFEST
    if not path.exists():
        return None
    raw = read_json(path)
    if raw.get("format", 0) > FORMAT:
        raise UserError(
            f"{folder} was written by groundup {raw.get('groundup')} (format {raw['format']}); this is groundup "
            f"{__version__} (format {FORMAT})",
            "upgrade groundup, or build into another folder with --out",
        )
    try:
        return Artifact(folder, Manifest(**raw))
    except TypeError as error:
        raise UserError(f"{path} is damaged: {error}", f"delete {folder} and build again") from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Complete an artifact: the manifest is written last."""
    write_json(folder / MANIFEST, asdict(manifest))


def checksums(folder: Path, left_out: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of every file below `folder`, but for folders and files named in `left_out`."""
    skipped = set(left_out)
    return {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in skipped
    }


def content_hash(files: dict[str, dict[str, Any]], logs: Iterable[str]) -> str:
    """Hash of all files but logs, which tell of times and not of content."""
    return hash_of({name: facts["sha256"] for name, facts in files.items() if name not in set(logs)})


def hash_of(value: Any) -> str:
    """SHA-256 of a value as canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, allow_nan=False).encode()).hexdigest()
