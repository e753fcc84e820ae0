from pathlib import Path

import pytest

from groundup.core.errors import UserError
from groundup.core.progress import Reporter
from groundup.data import survey
from groundup.data.config import Source
from groundup.data.survey import describe


def look(path: Path, tmp_path: Path, **options: str) -> survey.Survey:
    return describe([Source(path=str(path), **options)], tmp_path, Reporter(quiet=True))


def test_a_small_corpus_is_described_exactly(tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_text("é" * 100)
    (tmp_path / "in/b.jsonl").write_text('{"text": "one"}\n{"text": "two"}\nbroken\n')
    (tmp_path / "in/c.png").write_bytes(b"")
    found = look(tmp_path / "in", tmp_path)
    assert found.sample == ["é" * 100, "one", "two"]
    assert found.facts == {
        "files": 2,
        "kinds": ["jsonl", "text"],
        "bytes": 239,
        "bytes_by_ending": {".txt": 200, ".jsonl": 39},
        "ignored_files": {".png": 1},
        "sampled_documents": 3,
        "sampled_bytes": 206,
        "sampled_rejects": {"broken": 1},
        "documents": 3,
        "text_bytes": 206,
        "complete": True,
    }


def test_a_large_corpus_is_estimated_from_a_bounded_sample(corpora: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(survey, "SAMPLE_BYTES", 1 << 20)
    found = look(corpora / "tinystories.txt", tmp_path, separator="<|endoftext|>").facts
    assert not found["complete"]
    assert found["sampled_bytes"] < 1.1 * (1 << 20)
    assert found["documents"] == pytest.approx(9029, rel=0.1)
    assert found["text_bytes"] == pytest.approx(7_317_619, rel=0.1)


def test_the_sample_is_spread_over_all_files(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(survey, "SAMPLE_BYTES", 10_000)
    (tmp_path / "in").mkdir()
    for i in range(10):
        (tmp_path / f"in/{i}.jsonl").write_text(f'{{"text": "file {i} says this"}}\n' * 1000)
    found = look(tmp_path / "in", tmp_path)
    assert {text.split()[1] for text in found.sample} == set("0123456789")


def test_a_place_without_text_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="does not exist"):
        look(tmp_path / "nowhere", tmp_path)
