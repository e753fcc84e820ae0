import json
from pathlib import Path

import pytest

from groundup.core.progress import Reporter
from groundup.data.documents import build_documents
from groundup.data.survey import Survey
from groundup.pipeline.load import load_recipe
from groundup.pipeline.new import choose_holdout, new_recipe
from tiny_project import CODE

CORPORA = Path(__file__).parents[3] / "shared/data/corpora"


@pytest.fixture
def new(tmp_path, monkeypatch):
    """Writes a recipe for some text, loads it, and builds its documents: (recipe, facts of the documents)."""
    monkeypatch.setattr("groundup.pipeline.new.measure_matmul_peak", lambda _: 2e11)  # the same on any machine

    def new(data, minutes=10.0):
        result = new_recipe(tmp_path / "new", str(data), minutes, Reporter(quiet=True))
        recipe = load_recipe(tmp_path / "new")
        facts = build_documents(recipe.data, tmp_path / "documents", tmp_path, recipe.seed, Reporter(quiet=True))
        held_out = facts["splits"]["validation"]["bytes"] / facts["seen"]["bytes"]
        assert 0.01 < held_out < 0.5
        assert set(facts["rejected"]) <= {"duplicate", "too_short", "empty"}
        assert result["expected_tokens"] > 0 and recipe.pretrain.minutes <= minutes
        return recipe, facts

    return new


def code_text():
    text = "\n\n".join(path.read_text() for path in sorted(CODE.glob("*.py")))
    return text.replace("<|endoftext|>", "")


def test_pieces_of_one_large_file_are_held_out(new, tmp_path):
    (tmp_path / "all.txt").write_text(code_text())
    recipe, facts = new(tmp_path / "all.txt")
    assert recipe.data.max_document_bytes < 8 << 20
    assert facts["splits"]["validation"]["documents"] >= 2


def test_files_of_a_folder_are_held_out_whole(new, tmp_path):
    (tmp_path / "many").mkdir()
    for i, text in enumerate(code_text().split("\n\n\n")):
        (tmp_path / "many" / f"{i}.txt").write_text(text)
    recipe, facts = new(tmp_path / "many")
    assert recipe.data.max_document_bytes == 8 << 20
    assert facts["seen"]["documents"] == len(list((tmp_path / "many").iterdir())) >= 40


def test_a_file_with_separators_is_cut_at_them(new, tmp_path):
    texts = code_text().split("\n\n\n")
    (tmp_path / "all.txt").write_text("<|endoftext|>\n".join(texts))
    recipe, facts = new(tmp_path / "all.txt")
    assert recipe.data.sources[0].separator == "<|endoftext|>"
    assert facts["seen"]["documents"] == len(texts)


@pytest.mark.parametrize("ending", ["jsonl", "json"])
def test_records_are_not_cut(new, tmp_path, ending):
    text = code_text()
    records = [{"text": text[i * len(text) // 20 : (i + 1) * len(text) // 20]} for i in range(20)]
    lines = "\n".join(map(json.dumps, records))
    (tmp_path / f"all.{ending}").write_text(lines if ending == "jsonl" else json.dumps(records))
    recipe, facts = new(tmp_path / f"all.{ending}")
    assert recipe.data.max_document_bytes == 8 << 20
    assert (facts["seen"]["documents"], recipe.data.validation_fraction) == (20, 0.25)


def test_paragraphs_that_are_one_line_each_are_not_dropped(new, tmp_path):
    (tmp_path / "all.txt").write_text("\n".join(f"{i} " * 1000 for i in range(20)))
    recipe, _ = new(tmp_path / "all.txt")
    assert recipe.data.max_document_bytes > 3000


@pytest.mark.parametrize("name", ['it\'s "mine"', "größe", "a\\b", "[x]"])
def test_a_path_with_odd_characters_is_quoted(new, tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "a.txt").write_text(code_text())
    recipe, _ = new(tmp_path / name)
    assert recipe.data.sources[0].path == str(tmp_path / name)


def test_enough_documents_are_held_out_for_one_to_be_there():
    def share(documents, size=1_000_000, kinds=("jsonl",)):
        facts = {"text_bytes": size, "documents": documents, "kinds": list(kinds)}
        return choose_holdout(Survey(facts, ["a line\n" * 10])).share

    assert [share(n) for n in (10, 20, 50, 10_000)] == [0.45, 0.25, 0.1, 0.1]
    assert share(10_000, size=10_000_000) == 0.05
    assert share(1, kinds=("text",)) == 0.1


@pytest.mark.parametrize(
    ("name", "separator"),
    [
        ("tinyshakespeare.txt", ""),
        ("wikitext2-valid.txt", ""),
        ("children.txt", ""),
        ("tinystories.txt", "<|endoftext|>"),
    ],
)
def test_real_corpora_get_recipes_that_fit_them(new, name, separator):
    if not CORPORA.exists():
        pytest.skip("the real corpora (../shared/data) are not here")
    recipe, facts = new(CORPORA / name)
    assert recipe.data.sources[0].separator == separator
    assert facts["seen"]["documents"] > 40
    assert 1024 <= recipe.tokenizer.vocab_size <= 4096
    assert recipe.model.n_layers >= 4


def test_more_time_gives_a_larger_model(tmp_path, monkeypatch):
    monkeypatch.setattr("groundup.pipeline.new.measure_matmul_peak", lambda _: 2e11)
    weights = [
        new_recipe(tmp_path / str(minutes), str(CODE), minutes, Reporter(quiet=True))["weights"]
        for minutes in (0.1, 10, 1000)
    ]
    assert weights == sorted(set(weights))
