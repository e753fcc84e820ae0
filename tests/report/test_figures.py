"""Figures on the page: accounts that balance, hashes that hold, unknowns that say so."""

import json
from pathlib import Path

import pytest
from made_run import FACTS, MakeRun

from groundup.core.progress import Reporter
from groundup.data.config import DataConfig, Source
from groundup.data.documents import build_documents
from groundup.report import figures
from groundup.report.data import read_run


def test_the_account_balances_when_every_document_is_kept_or_rejected():
    account = figures.account(FACTS["data"])
    assert account.unaccounted == 0
    assert [entry.label for entry in account.entries] == [
        "Seen",
        "duplicate",
        "too short",
        "Kept",
        "train",
        "validation",
    ]
    assert account.train_bytes == 4_941_202


def test_the_account_of_a_real_stage_balances(tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for number in range(30):
            (tmp_path / name / f"{number}.txt").write_text(f"{name} of {number % 25} little documents\n" * number)
    sources = tuple(Source(path=str(tmp_path / name)) for name in ("one", "two"))
    out = tmp_path / "out"
    out.mkdir()
    config = DataConfig(sources=sources, validation_fraction=0.3)
    facts = build_documents(config, out, tmp_path / "cache", 1, Reporter(quiet=True))
    account = figures.account(facts)
    assert account.unaccounted == 0
    assert {entry.label for entry in account.entries} >= {"Seen", "empty", "Kept", "train", "validation"}
    assert sum(bar.share for bar in account.sources) == pytest.approx(1)


def test_a_lost_document_is_noticed():
    facts = FACTS["data"] | {"seen": {"documents": 42, "bytes": 1}}
    assert figures.account(facts).unaccounted == 2


def test_sources_are_shares_of_the_kept_bytes():
    sources = {"a": {"train": {"bytes": 25}, "validation": {"bytes": 0}}, "b": {"train": {"bytes": 70}}}
    sources["b"]["validation"] = {"bytes": 5}
    bars = figures.account(FACTS["data"] | {"sources": sources}).sources
    assert [(bar.label, bar.share) for bar in bars] == [("b", 0.75), ("a", 0.25)]


def test_an_input_that_was_made_anew_no_longer_holds(make_run: MakeRun):
    folder = make_run()
    path = folder / "tokenizer" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"hash": "f" * 64}))
    lineage = figures.lineage(read_run(folder).stages)
    broken = {(ancestor.stage.name, link.stage) for ancestor in lineage for link in ancestor.links if not link.holds}
    assert broken == {("tokens", "tokenizer"), ("sft", "tokenizer"), ("eval", "tokenizer")}


def test_the_model_is_compared_with_its_baselines(make_run: MakeRun):
    run = read_run(make_run())
    assert figures.comparison(run) == "10% fewer than n‑gram counts of the same text and 31% fewer than xz"
    assert [bar.label for bar in figures.score_bars(run)][:2] == [
        "this model, pretrained",
        "this model, after chat training",
    ]


def test_a_model_that_loses_to_a_baseline_says_so(make_run: MakeRun):
    folder = make_run()
    (folder / "eval" / "scores.json").write_text(json.dumps({"bits_per_byte": {"pretrain": 3.0, "xz": 2.0}}))
    assert figures.comparison(read_run(folder)) == "50% more than xz"


def test_before_eval_the_last_validation_is_the_held_out_figure(make_run: MakeRun):
    folder = make_run("data", "tokenizer", "tokens", "pretrain")
    assert figures.held_out(read_run(folder)) == 1.853
    (folder / "pretrain" / "manifest.json").unlink()
    run = read_run(folder)
    assert figures.held_out(run) == run.pretrain.validations[-1]["validation_bits_per_byte"]


@pytest.mark.parametrize(
    ("token", "shown"), [(" a b", "␣a␣b"), ("\n\t", "↵⇥"), ("\x00\x7f", "\\x00\\x7f"), ("é狐", "é狐")]
)
def test_white_space_in_tokens_is_visible(token: str, shown: str):
    assert figures.visible(token) == shown


def test_what_is_not_known_is_called_unknown():
    shown = [form(None) for form in (figures.count, figures.whole, figures.duration, figures.decimal, figures.percent)]
    assert shown == ["unknown"] * 5
