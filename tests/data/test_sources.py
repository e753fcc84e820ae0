import hashlib
import importlib.util
import shutil
import socket
import zipfile
from pathlib import Path

import pytest

from groundup.core.errors import UserError
from groundup.core.progress import Reporter
from groundup.data.config import Source
from groundup.data.formats import format_of
from groundup.data.sources.listing import list_source


def listed(path: Path | str, cache: Path = Path("unused"), **options):
    return list_source(Source(path=str(path), **options), 1 << 20, cache, Reporter(quiet=True))


def names(listing) -> list[str]:
    return [file.name for file in listing.files]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "b.txt",
        "a/z.md",
        "a/y.PY",
        "a/.hidden.txt",
        ".git/x.txt",
        "pic.png",
        "a/pic.png",
        "data.bin",
        "LICENSE",
    ):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text of {name}, long enough to be kept")
    return tmp_path / "tree"


def test_a_folder_is_read_through_sorted_and_what_is_not_text_is_counted(tree: Path):
    listing = listed(tree)
    assert names(listing) == ["a/y.PY", "a/z.md", "b.txt"]
    assert listing.ignored == {".bin": 1, ".png": 2, "none": 1}


def test_a_glob_names_files_below_its_plain_part(tree: Path):
    assert names(listed(tree / "**/*.md")) == ["a/z.md"]
    assert names(listed(tree / "a/*")) == ["y.PY", "z.md"]


def test_a_file_that_is_named_is_read_as_text_whatever_its_ending(tree: Path):
    (file,) = listed(tree / "data.bin").files
    (record,) = file.read(lambda _: None)
    assert (record.name, record.text) == ("data.bin", "text of data.bin, long enough to be kept")


def test_a_file_with_brackets_in_its_name_is_no_glob(tree: Path):
    (tree / "x[1].txt").write_text("text")
    assert names(listed(tree / "x[1].txt")) == ["x[1].txt"]


def test_bytes_that_are_read_add_up_to_the_size(tree: Path):
    for file in listed(tree).files:
        seen: list[int] = []
        assert list(file.read(seen.append))
        assert sum(seen) == file.size


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda tree: tree / "nowhere", "does not exist"),
        (lambda tree: tree / "*.nothing", "holds no files"),
        (lambda tree: tree / "*.png", "holds no file of a known ending, only: 1 .png"),
    ],
)
def test_a_source_without_text_is_refused(tree: Path, make, message: str):
    with pytest.raises(UserError, match=message):
        listed(make(tree))


def test_a_hidden_folder_that_is_named_is_meant(tree: Path):
    assert names(listed(tree / ".git")) == ["x.txt"]


def test_an_empty_folder_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="holds no files"):
        listed(tmp_path)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.txt", ("text", "")),
        ("A.TXT.GZ", ("text", "gz")),
        ("a.jsonl.zst", ("jsonl", "zst")),
        ("a.tar.gz", ("", "gz")),
        ("gz", ("", "")),
        (".gz", ("", "")),
        ("a.parquet", ("parquet", "")),
    ],
)
def test_the_ending_says_what_a_file_is(name: str, kind: tuple[str, str]):
    assert format_of(name) == kind


@pytest.fixture
def wheel(tmp_path: Path) -> tuple[Path, str]:
    """A cache that holds a wheel, and its checksum."""
    folder = tmp_path / "cache/pypi/poems==1.0"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "poems-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("poems/text/a.md", "roses are red, violets are blue")
        archive.writestr("poems/text/deep/b.md", "b" * 1000)
        archive.writestr("poems/__init__.py", "raise SystemExit")
        archive.writestr("poems-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: poems\nVersion: 1.0\n")
        archive.writestr("poems-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    return tmp_path / "cache", hashlib.sha256((folder / "poems-1.0-py3-none-any.whl").read_bytes()).hexdigest()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch):
    """Child processes find no index."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)

    def refuse(*_: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "create_connection", refuse)


def test_text_in_a_wheel_is_read_from_the_cache_without_a_network(wheel, no_network):
    cache, digest = wheel
    listing = listed("pypi:poems==1.0/poems/text/**/*.md", cache, sha256=digest)
    assert names(listing) == ["poems/text/a.md", "poems/text/deep/b.md"]
    (record,) = listing.files[0].read(lambda _: None)
    assert record.text == "roses are red, violets are blue"
    assert names(listed("pypi:poems==1.0/poems/text/*.md", cache, sha256=digest)) == ["poems/text/a.md"]


def test_a_glob_that_matches_nothing_in_a_wheel_is_refused(wheel, no_network):
    cache, digest = wheel
    with pytest.raises(UserError, match=r"'x/\*' matches nothing in poems-1.0.* it has: .*poems"):
        listed("pypi:poems==1.0/x/*", cache, sha256=digest)


def test_without_a_network_the_error_is_one_line(tmp_path: Path, no_network):
    with pytest.raises(UserError, match=r"poems==1\.0 could not be downloaded: ") as error:
        listed("pypi:poems==1.0/*", tmp_path, sha256="0" * 64)
    assert "\n" not in str(error.value)
    assert "network" in error.value.hint
    assert not list(tmp_path.rglob("*.whl"))


@pytest.fixture
def index(wheel, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    """The wheel is not in the cache, but pip finds it in a folder."""
    cache, digest = wheel
    shutil.move(cache, cache.with_name("index"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(cache.with_name("index") / "pypi/poems==1.0"))
    return cache, digest


def test_a_wheel_is_downloaded_once_and_checked(index):
    cache, digest = index
    assert len(listed("pypi:poems==1.0/**/*.md", cache, sha256=digest).files) == 2
    assert [path.name for path in cache.rglob("*.whl")] == ["poems-1.0-py3-none-any.whl"]


def test_a_wheel_of_another_checksum_is_refused_with_the_one_that_was_found(index):
    cache, digest = index
    with pytest.raises(UserError, match=f"has SHA-256 {digest}, the recipe asks for {'0' * 64}"):
        listed("pypi:poems==1.0/**/*.md", cache, sha256="0" * 64)


def test_a_wheel_without_a_checksum_is_refused_with_the_line_to_add(index):
    cache, digest = index
    with pytest.raises(UserError) as error:
        listed("pypi:poems==1.0/**/*.md", cache)
    assert f'sha256 = "{digest}"' in error.value.hint


@pytest.mark.skipif(importlib.util.find_spec("datasets") is not None, reason="datasets is installed")
def test_the_hub_needs_its_library():
    with pytest.raises(UserError, match="needs the library datasets") as error:
        listed("hf:roneneldan/TinyStories")
    assert error.value.hint == "pip install 'groundup[hub]'"
