from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundup.core.progress import Reporter
from groundup.data.config import DataConfig, Source
from groundup.data.document import Record
from groundup.data.documents import build_documents
from groundup.data.sources.listing import list_source


@pytest.fixture
def corpora() -> Path:
    folder = Path(__file__).parents[3] / "shared/data/corpora"
    if not folder.exists():
        pytest.skip("the real corpora (../shared/data) are not here")
    return folder


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., list[Record]]:
    """All records of a source."""

    def read(path: Path | str, *, max_bytes: int = 1 << 20, **options: Any) -> list[Record]:
        listing = list_source(Source(path=str(path), **options), max_bytes, tmp_path / "cache", Reporter(quiet=True))
        return [record for file in listing.files for record in file.read(lambda _: None)]

    return read


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Build the documents of a folder, by default into tmp_path/out."""

    def build(path: Path | str, *, out: Path | None = None, **options: Any) -> dict[str, Any]:
        source = {key: options.pop(key) for key in list(options) if key in Source.model_fields}
        config = DataConfig(sources=(Source(path=str(path), **source),), **options)
        return build_documents(config, out or tmp_path / "out", tmp_path / "cache", 0, Reporter(quiet=True))

    return build
