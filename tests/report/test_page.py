"""The page: whole, offline, safe with any text, and honest about what is not there yet."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_run import INPUTS, RECIPE, MakeRun

from groundup.report.page import recipe_pieces, write_report

HOSTILE = "<script>alert(1)</script><img src=https://example.com/x onerror=alert(2)>\"'"
VOID = {"meta", "br", "img", "input", "link"}


class Page(HTMLParser):
    """Checks that tags nest, and gathers what the page holds and points to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.targets: set[str] = set()
        self.ids: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.targets |= {value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data")}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(folder: Path) -> tuple[Page, str]:
    html = write_report(folder).read_text(encoding="utf-8")
    return Page(html), " ".join(Page(html).text.split())


def test_the_page_of_a_finished_run_holds_every_section_and_loads_nothing(make_run: MakeRun):
    folder = make_run()
    page, text = read(folder)
    assert {
        "#learning",
        "#held-out",
        "#samples",
        "#chat",
        "#data",
        "#tokenizer",
        "#lineage",
        "#recipe",
    } <= page.targets
    assert {target[1:] for target in page.targets} <= set(page.ids), "a link leads nowhere"
    assert all(target.startswith("#") for target in page.targets), "the page loads or links something"
    assert len(page.ids) == len(set(page.ids))
    assert not page.tags & {"script", "link", "img", "iframe", "object"}
    html = (folder / "report.html").read_text()
    assert "http://" not in html and "https://" not in html and "url(" not in html and "@import" not in html
    assert len(html) < 500_000
    for shown in (
        "3.41M parameters",
        "4.94 MB of text",
        "12m 25s",
        "1.85 bits",
        "groundup build recipes/plays.toml",
    ):
        assert shown in text
    for shown in (
        "The account balances",
        "␣notwithstanding",
        "MACBETH: What news",
        "n-gram counts",
        "0a7c0a7c0a",
    ):
        assert shown in text
    assert "Not finished" not in text


@pytest.mark.parametrize("n_stages", range(len(INPUTS)))
def test_an_unfinished_run_has_a_page_that_says_what_is_missing(make_run: MakeRun, n_stages: int):
    folder = make_run(*list(INPUTS)[:n_stages]) if n_stages else make_run("data")
    _, text = read(folder)
    assert "Not finished yet: " in text
    assert "will stand here when the stage eval is done" in text


def test_a_recipe_alone_has_a_page(tmp_path: Path):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    _, text = read(tmp_path)
    assert "This model is still being made." in text
    assert "No stage is finished yet." in text


def test_a_training_at_work_shows_its_curves_so_far(make_run: MakeRun):
    folder = make_run("data", "tokenizer", "tokens", "pretrain")
    (folder / "pretrain" / "manifest.json").unlink()
    (folder / "pretrain").rename(folder / ".pretrain.partial")
    page, text = read(folder)
    assert "svg" in page.tags
    assert "Still at work" in text
    assert "Tokens so far" in text


def test_how_busy_experts_were_is_shown_where_there_are_some(make_run: MakeRun):
    folder = make_run("data", "tokenizer", "tokens", "pretrain")
    assert "Busiest expert" not in read(folder)[1]
    metrics = folder / "pretrain" / "metrics.jsonl"
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    busy = [row | {"moe_max_load": 1.5, "moe_idle_experts": 0.0, "auxiliary_loss": 0.01} for row in rows]
    metrics.write_text("".join(json.dumps(row) + "\n" for row in busy))
    text = read(folder)[1]
    for title in ("Busiest expert", "Idle experts", "Auxiliary loss"):
        assert title in text


def test_text_from_a_model_or_a_corpus_is_never_markup(make_run: MakeRun):
    folder = make_run()
    (folder / "recipe.toml").write_text(f"name = '''{HOSTILE}'''\n# {HOSTILE}\n")
    (folder / "build.json").write_text(
        json.dumps({"command": HOSTILE, "started": HOSTILE, "machine": {"cpu": HOSTILE}})
    )
    sample = {"step": 1, "prompt": HOSTILE, "text": HOSTILE * 2}
    (folder / "pretrain" / "samples.jsonl").write_text(json.dumps(sample) + "\n")
    scores = {
        "bits_per_byte": {HOSTILE: 2.0},
        "held_out": [HOSTILE],
        "bytes": 1,
        "protocol": HOSTILE,
        "sample_scene": HOSTILE,
    }
    (folder / "eval" / "scores.json").write_text(json.dumps(scores))
    for stage in ("data", "tokenizer", "pretrain"):
        path = folder / stage / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest |= {
            "versions": {HOSTILE: HOSTILE},
            "decisions": {HOSTILE: HOSTILE},
            "inputs": {HOSTILE: HOSTILE},
        }
        manifest["facts"] |= {
            "longest_tokens": [{"text": HOSTILE}],
            "ignored_files": {HOSTILE: 1},
            "device": HOSTILE,
        }
        path.write_text(json.dumps(manifest))
    page, text = read(folder)
    assert not page.tags & {"script", "img"}
    assert text.count("<script>alert(1)</script>") >= 12


def test_a_run_without_validation_bits_or_gpt2_says_unknown_and_does_not_fail(make_run: MakeRun):
    folder = make_run()
    for stage in INPUTS:
        path = folder / stage / "manifest.json"
        manifest = json.loads(path.read_text())
        kept = {"data": ("splits",), "tokenizer": ("vocab_size",), "sft": ("conversations",)}.get(stage, ())
        path.write_text(json.dumps(manifest | {"facts": {name: manifest["facts"][name] for name in kept}}))
    (folder / "pretrain" / "metrics.jsonl").write_text('{"step": 1, "tokens": 1, "loss": 2.5}\n' * 3)
    (folder / "eval" / "scores.json").write_text("{}")
    _, text = read(folder)
    assert "unknown" in text


@given(st.text(alphabet="ab=[]\"'#\\\n .") | st.text())
def test_coloring_a_recipe_changes_no_character(source: str):
    assert "".join(text for _, text in recipe_pieces(source)) == source


def test_comments_keys_tables_and_strings_are_told_apart():
    pieces = {text: kind for kind, text in recipe_pieces(RECIPE) if kind}
    assert pieces["[data]"] == "table"
    assert pieces["name"] == "key"
    assert pieces['"wsd"'] == "string"
    assert pieces["# warm up, stay, decay"] == "comment"
    assert recipe_pieces('{"name": "a"}')[1::2] == [("field", '"name"'), ("string", '"a"')]
