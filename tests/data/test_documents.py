import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from groundup.core.errors import UserError
from groundup.data import documents
from groundup.data.documents import count_documents, iter_documents
from groundup.data.ledger import Ledger
from groundup.data.parts import PartWriter


def make_corpus(folder: Path, seed: int = 0) -> Path:
    """200 documents in text and JSON Lines; some empty, short, doubled."""
    folder.mkdir(parents=True)
    chance = random.Random(seed)
    words = [f"word{i}" for i in range(500)]
    for i in range(80):
        (folder / f"{i:02d}.txt").write_text(" ".join(chance.choices(words, k=chance.randint(1, 400))))
    (folder / "79.txt").write_text((folder / "78.txt").read_text())
    (folder / "80.txt").write_text(" \n ")
    with (folder / "chat.jsonl").open("w") as file:
        for _ in range(120):
            file.write(json.dumps({"text": " ".join(chance.choices(words, k=chance.randint(1, 300)))}) + "\n")
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "corpus")


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "_PART_BYTES", 20_000)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_documents_are_written_split_and_read_back_in_order(corpus: Path, tmp_path: Path, build, small_parts):
    facts = build(corpus)
    train, validation = (list(iter_documents(tmp_path / "out", split)) for split in ("train", "validation"))
    assert len(train) == facts["splits"]["train"]["documents"] == count_documents(tmp_path / "out", "train")
    assert len(validation) == facts["splits"]["validation"]["documents"] > 0
    assert sum(len(document.text.encode()) for document in train) == facts["splits"]["train"]["bytes"]
    assert {document.source for document in train} == {"corpus"}
    assert [document.name for document in train][:2] == ["00.txt", "01.txt"]
    names = [document.name for document in train if document.name.endswith(".txt")]
    assert names == sorted(names)
    assert (tmp_path / "out/train-00003.parquet").exists()
    assert not list(tmp_path.glob("out/work.sqlite*"))
    row = pq.read_table(tmp_path / "out/train-00000.parquet").to_pylist()[0]
    assert row["id"] == hashlib.sha256(train[0].text.encode()).hexdigest()[:32]


def test_the_same_text_is_kept_once_and_never_in_both_splits(corpus: Path, tmp_path: Path, build, small_parts):
    with (corpus / "chat.jsonl").open("a") as file:
        for i in range(50):
            file.write(json.dumps({"text": (corpus / f"{i:02d}.txt").read_text()}) + "\n")
    facts = build(corpus, validation_fraction=0.3)
    texts = [document.text for split in ("train", "validation") for document in iter_documents(tmp_path / "out", split)]
    assert len(texts) == len(set(texts))
    assert facts["rejected"]["duplicate"]["documents"] >= 51


def test_every_reject_is_kept_with_its_reason(corpus: Path, tmp_path: Path, build):
    (corpus / "bad.txt").write_bytes(b"\xff\xfe\xfa")
    (corpus / "bin.txt").write_bytes(b"a\0b")
    (corpus / "half.jsonl").write_text('{"text": "half of a pair \\ud800 in a text"}\n')
    (corpus / "picture.png").write_bytes(b"png")
    facts = build(corpus)
    rejects = [json.loads(line) for line in (tmp_path / "out/rejects.jsonl").read_bytes().splitlines()]
    counted = {reason: counts["documents"] for reason, counts in facts["rejected"].items()}
    found = {reason: sum(reject["reason"] == reason for reject in rejects) for reason in counted}
    assert counted == found
    assert counted["not_utf8"] == 2
    assert counted["binary"] == counted["empty"] == counted["duplicate"] == 1
    assert facts["ignored_files"] == {".png": 1}
    assert set(rejects[0]) == {"name", "source", "reason", "detail", "bytes", "head"}


def test_held_out_documents_are_the_validation_split(corpus: Path, tmp_path: Path, build):
    build(corpus, holdout=("0[1-3].txt", "chat.jsonl#1?"))
    names = [document.name for document in iter_documents(tmp_path / "out", "validation")]
    assert names[:3] == ["01.txt", "02.txt", "03.txt"]
    assert names[3:] == [f"chat.jsonl#{i}" for i in range(10, 20)]


def test_a_holdout_that_matches_nothing_is_refused_with_the_nearest_names(corpus: Path, build):
    (corpus / "hamlet.md").write_text("To be, or not to be, that is the question")
    with pytest.raises(UserError, match=r"data\.holdout: 'hamlte\.md' matches no document") as error:
        build(corpus, holdout=("01.txt", "hamlte.md"))
    assert error.value.hint.startswith("the nearest names: hamlet.md")
    with pytest.raises(UserError, match=r"'chat\.jsonl#999' matches no document"):
        build(corpus, holdout=("chat.jsonl#999",))


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({"a.txt": b"short"}, {}, "no document is left; rejected: 1 too_short"),
        ({"a.txt": b"a long enough text " * 5}, {}, "all of the 1 documents went to training"),
        ({"a.txt": b"a long enough text"}, {"holdout": ("*",)}, "none is left to train on"),
        (
            {"a.txt": b"a long enough text", "b.txt": b"\xff" * 50},
            {},
            r"74% of the bytes cannot be used, mostly 'not_utf8', first in .*b\.txt",
        ),
        ({"a.jsonl": b'{"text": "fine"}\n{"text"\n'}, {}, r"a\.jsonl:2: not JSON: Expecting ':' delimiter"),
        ({"a.jsonl": b'{"body": "fine"}\n'}, {}, r"a\.jsonl:1: no field 'text'"),
        ({"a.txt.gz": b"no gzip"}, {}, r"a\.txt\.gz: cannot be decompressed: Not a gzipped file"),
    ],
)
def test_what_cannot_be_trained_on_is_an_error_of_one_line(tmp_path: Path, build, files, options, message: str):
    (tmp_path / "in").mkdir()
    for name, content in files.items():
        (tmp_path / "in" / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        build(tmp_path / "in", **options)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=message):  # and again
        build(tmp_path / "in", **options)


def test_broken_lines_can_be_skipped_and_are_counted(corpus: Path, build):
    with (corpus / "chat.jsonl").open("a") as file:
        file.write("no json\n")
    with pytest.raises(UserError, match=r"chat\.jsonl:121: not JSON") as error:
        build(corpus)
    assert error.value.hint.endswith('data.on_broken = "skip"')
    assert build(corpus, on_broken="skip")["rejected"]["broken"] == {"documents": 1, "bytes": 8}


def test_changed_files_are_read_anew(corpus: Path, tmp_path: Path, build):
    before = build(corpus)
    (corpus / "new.txt").write_text("a new text that was not there before")
    assert build(corpus)["seen"]["documents"] == before["seen"]["documents"] + 1


def test_a_finished_build_is_not_done_again(corpus: Path, tmp_path: Path, build, monkeypatch: pytest.MonkeyPatch):
    first = build(corpus)
    monkeypatch.setattr(documents, "_Build", None)
    second = build(corpus)
    assert {key: first[key] for key in ("seen", "splits", "sources")} == {
        key: second[key] for key in ("seen", "splits", "sources")
    }


@pytest.mark.parametrize("where", [(PartWriter, "close"), (Ledger, "commit")])
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_part_border_changes_nothing(
    corpus: Path, tmp_path: Path, build, small_parts, where, after: bool
):
    build(corpus, out=tmp_path / "whole")
    place, method = where
    original = getattr(place, method)
    calls, crashes = 0, 0

    def crash_at_every_third_call(self, *args):
        nonlocal calls
        calls += 1
        if after:
            original(self, *args)
        if calls % 3 == 0:
            raise KeyboardInterrupt
        if not after:
            original(self, *args)

    while True:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(place, method, crash_at_every_third_call)
            try:
                build(corpus, out=tmp_path / "cut")
                break
            except KeyboardInterrupt:
                crashes += 1
    assert crashes > 3
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


CHILD = """
import sys
from pathlib import Path
from groundup.core.progress import Reporter
from groundup.data import documents
from groundup.data.config import DataConfig, Source
documents._PART_BYTES = 20_000
config = DataConfig(sources=(Source(path=sys.argv[1]),))
print("begins", flush=True)
documents.build_documents(config, Path(sys.argv[2]), Path("unused"), 0, Reporter(quiet=True))
"""


def test_killed_at_random_moments_it_ends_with_the_same_bytes(corpus: Path, tmp_path: Path, build, small_parts):
    build(corpus, out=tmp_path / "whole")
    chance, kills = random.Random(1), 0
    for _ in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(corpus), str(tmp_path / "cut")], stdout=subprocess.PIPE, text=True
        )
        with child:
            assert child.stdout is not None and child.stdout.readline() == "begins\n"
            time.sleep(chance.uniform(0.0, 0.06))
            if child.poll() is None:
                os.kill(child.pid, signal.SIGKILL)
                kills += 1
    build(corpus, out=tmp_path / "cut")
    assert kills > 2
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (22_000, 22_000))
"""


def test_a_disk_that_is_full_loses_nothing(corpus: Path, tmp_path: Path, build, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(documents, "_PART_BYTES", 100_000)
    build(corpus, out=tmp_path / "whole")
    script = FULL + CHILD.replace("20_000", "100_000")
    command = [sys.executable, "-c", script, str(corpus), str(tmp_path / "cut")]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == 1
    assert "OSError: [Errno 27] File too large" in child.stderr
    build(corpus, out=tmp_path / "cut")
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_full_disk_under_the_ledger_is_an_os_error(tmp_path: Path):
    ledger = Ledger(tmp_path / "work.sqlite", "test")
    ledger.commit({"at": 1})
    ledger._database.execute("PRAGMA max_page_count = 8")
    with pytest.raises(OSError, match="No space left"):
        for i in range(10_000):
            ledger.add(hashlib.sha256(str(i).encode()).digest())
    ledger.close()
    again = Ledger(tmp_path / "work.sqlite", "test")
    assert again.state == {"at": 1}
    assert again.add(hashlib.sha256(b"0").digest())
    again.close()


def test_reading_a_split_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="no documents of split 'train'"):
        count_documents(tmp_path, "train")
