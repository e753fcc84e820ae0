import pytest

from groundup.pipeline.load import load_recipe
from tiny_project import CODE, call_groundup, write_project


def test_a_recipe_is_written_that_builds(tmp_path, capsys):
    folder = tmp_path / "mine"
    found = call_groundup(capsys, "new", folder, "--data", CODE, "--minutes", 1)
    assert found.code == 0
    assert found.out == f"{folder}/recipe.toml is written. Build it: groundup build {folder} --out {folder}\n"
    small = ("--model.n_layers", 1, "--model.d_model", 64, "--model.n_heads", 1, "--pretrain.evaluations", 1)
    found = call_groundup(capsys, "build", folder, "--out", folder, "--pretrain.steps", 2, *small, "--json")
    assert found.code == 0, found.err
    assert [stage["status"] for stage in found.json["stages"]] == ["built"] * 5


def test_a_relative_path_is_meant_from_here(tmp_path, capsys, monkeypatch):
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert call_groundup(capsys, "new", "runs/mine", "--data", "text").code == 0
    (source,) = load_recipe(tmp_path / "runs" / "mine").data.sources
    assert source.path == str(tmp_path / "text")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--data", "none"], "none' does not exist"),
        (["--data", "empty"], "empty' holds no files"),
        (["--data", "short.txt"], "short.txt holds 36 bytes of text; a model needs 20000 at the very least"),
        (["--data", "line.txt"], "the text has only 1 pieces between line breaks, too few to hold some out"),
        (["--data", "few.jsonl"], "the text has only 2 documents, too few to hold some out"),
        (["--data", "text", "--minutes", "0"], "--minutes 0.0 is not a time; give a positive number of minutes"),
        (["--data", "text", "--minutes", "nan"], "--minutes nan is not a time"),
        ([], "requires an argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_no_recipe_can_be_written_for_is_told_and_nothing_is_written(tmp_path, capsys, monkeypatch, words, told):
    write_project(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "short.txt").write_text("too little for any model to learn of")
    (tmp_path / "line.txt").write_text("word " * 10_000)
    (tmp_path / "few.jsonl").write_text(f'{{"text": "{"long " * 3000}"}}\n{{"text": "{"other " * 3000}"}}\n')
    monkeypatch.chdir(tmp_path)
    found = call_groundup(capsys, "new", "mine", *words, "--json")
    assert (found.code, found.err.count("\n"), set(found.json)) == (2, 1, {"error", "hint"})
    assert told in found.told.replace('"', "")
    assert not (tmp_path / "mine").exists()


def test_what_is_there_is_not_written_over(tmp_path, capsys):
    recipe = write_project(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "recipe.toml").write_text("mine")
    found = call_groundup(capsys, "new", tmp_path / "mine", "--data", tmp_path / "text")
    assert found.code == 2 and "exists already" in found.err
    assert (tmp_path / "mine" / "recipe.toml").read_text() == "mine"
    found = call_groundup(capsys, "new", recipe, "--data", tmp_path / "text")
    assert found.code == 2 and "is a file, not a folder" in found.err
