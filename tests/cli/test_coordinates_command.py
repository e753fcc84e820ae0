import pytest

from tiny_project import call_groundup, write_project


@pytest.fixture
def call(tmp_path, capsys):
    """Calls `groundup coordinates` with a recipe."""
    recipe = write_project(tmp_path)
    return lambda *words: call_groundup(capsys, "coordinates", recipe, *words)


def test_it_shows_both_parametrizations(call):
    outcome = call("--widths", "16", "--widths", "32", "--steps", "2")
    assert outcome.code == 0
    for told in ("standard: mean |activation|", "muP: mean |activation|", "width^"):
        assert told in outcome.out


def test_json_has_sizes_and_growth(call):
    result = call("--widths", "16", "--widths", "32", "--steps", "1", "--pretrain.lr", "0.1", "--json").json
    assert set(result) == {"standard", "muP"}
    assert result["muP"]["widths"] == [16, 32]
    assert set(result["muP"]["growth"]) == set(result["muP"]["sizes"])


def test_one_width_is_no_comparison(call):
    outcome = call("--widths", "16")
    assert outcome.code == 2
    assert "two or more widths" in outcome.told
