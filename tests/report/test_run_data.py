"""Reading a run folder: finished, unfinished, cut off, damaged."""

import json
from pathlib import Path

import pytest
from made_run import MakeRun

from groundup.core.errors import UserError
from groundup.report.data import STAGES, read_run


def test_a_finished_run_lacks_nothing(make_run: MakeRun):
    run = read_run(make_run())
    assert run.name == "strolling-players"
    assert tuple(run.stages) == STAGES
    assert run.missing == ()
    assert len(run.pretrain.steps) == 2400
    assert len(run.pretrain.validations) == 10


def test_an_unfinished_run_names_what_is_missing(make_run: MakeRun):
    run = read_run(make_run("data", "tokenizer"))
    assert run.missing == ("tokens", "pretrain", "sft", "eval")
    assert run.facts("pretrain") == {}


def test_a_stage_that_the_recipe_does_not_ask_for_is_not_missing(make_run: MakeRun):
    folder = make_run("data", "tokenizer", "tokens", "pretrain", "eval")
    assert read_run(folder).missing == ("sft",)
    (folder / "recipe.toml").write_text('name = "plain"\n')
    assert read_run(folder).missing == ()


def test_the_resolved_recipe_will_do_where_the_written_one_is_not_kept(make_run: MakeRun):
    folder = make_run("data", "tokenizer", "tokens", "pretrain", "eval")
    (folder / "recipe.toml").unlink()
    (folder / "recipe.json").write_text('{"name": "resolved", "sft": null}')
    run = read_run(folder)
    assert (run.name, run.missing, run.recipe_file) == ("resolved", (), "recipe.json")


def test_a_line_that_is_still_being_written_is_left_out(make_run: MakeRun):
    folder = make_run()
    with (folder / "pretrain" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2401, "lo')
    assert len(read_run(folder).pretrain.steps) == 2400


def test_a_broken_line_within_is_an_error_that_gives_its_number(make_run: MakeRun):
    folder = make_run()
    path = folder / "pretrain" / "metrics.jsonl"
    path.write_text("{}\nbroken\n" + path.read_text())
    with pytest.raises(UserError, match=r"metrics\.jsonl:2 is not JSON"):
        read_run(folder)


def test_a_training_at_work_is_read_from_its_partial_folder(make_run: MakeRun):
    folder = make_run()
    (folder / "pretrain" / "manifest.json").unlink()
    (folder / "pretrain").rename(folder / ".pretrain.partial")
    run = read_run(folder)
    assert "pretrain" in run.missing
    assert len(run.pretrain.steps) == 2400


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="not the folder of a run"):
        read_run(tmp_path)


def test_a_damaged_manifest_is_refused_by_name(make_run: MakeRun):
    folder = make_run()
    (folder / "sft" / "manifest.json").write_text(json.dumps({"hash": "00"})[:-3])
    with pytest.raises(UserError, match=r"sft/manifest\.json is damaged"):
        read_run(folder)
