import pytest

from tiny_project import STAGES, call_groundup


def test_the_last_line_on_stdout_is_json_and_all_talk_is_on_stderr(project):
    folder, found = project
    assert found.code == 0, found.err
    assert found.out.count("\n") == 1
    assert [stage["name"] for stage in found.json["stages"]] == list(STAGES)
    assert all(f"✓ {name} built in" in found.err for name in STAGES)
    assert "45.8k parameters on cpu" in found.err and "4 steps of 256 tokens" in found.err
    assert (folder / "runs" / "tiny" / "report.html").exists()


@pytest.mark.parametrize("order", ["before", "after"])
def test_without_json_it_ends_with_scores_a_sample_and_what_to_type_next(project, capsys, order):
    folder, _ = project
    run = folder / "runs" / "tiny"
    options = ("--out", run)
    override = ("--pretrain.steps", 4)
    words = (*override, *options) if order == "before" else (*options, *override)
    found = call_groundup(capsys, "build", folder / "tiny.toml", *words)
    assert found.code == 0
    assert "held-out bits/byte: pretrain" in found.out
    assert f"Talk to it: groundup chat {run}" in found.out
    assert found.err.count("skipped") == len(STAGES)


def test_a_recipe_may_be_named_by_its_folder(project, capsys):
    folder, _ = project
    (folder / "recipe.toml").write_text((folder / "tiny.toml").read_text())
    words = ("build", folder, "--out", folder / "runs" / "tiny", "--pretrain.steps=4", "--json")
    assert {stage["status"] for stage in call_groundup(capsys, *words).json["stages"]} == {"skipped"}


def test_a_run_can_be_shown_reported_and_asked_as_json(project, capsys):
    run = project[0] / "runs" / "tiny"
    assert [stage["state"] for stage in call_groundup(capsys, "show", run, "--json").json["stages"]] == ["finished"] * 6
    assert call_groundup(capsys, "report", run, "--json").json == {"report": str(run / "report.html")}
    short = ("--max-new-tokens", 2, "--json")
    assert len(call_groundup(capsys, "generate", run, "--prompt", "def", *short).json["token_ids"]) <= 2
    assert call_groundup(capsys, "chat", run, "--message", "def f():", *short).json["messages"]
    assert any(call_groundup(capsys, "show-mask", run, "--json").json["trained"])


def test_a_run_that_would_read_what_it_writes_is_refused(project, capsys):
    folder, _ = project
    found = call_groundup(capsys, "build", folder / "tiny.toml", "--out", folder / "text" / "run")
    assert (found.code, found.told.count("lies in its own source")) == (2, 1)
    assert not (folder / "text" / "run").exists()


def test_overrides_that_are_wrong_are_told_as_such(project, capsys):
    folder, _ = project
    for words, told in (
        (["--pretrain.stpes", "3"], "command line: --pretrain.stpes: unknown key; did you mean 'steps'?"),
        (["--pretrain.steps"], "--pretrain.steps needs a value"),
        (["more"], "unexpected argument 'more'"),
        (["--until", "train"], "--until train: this recipe has no such stage"),
        (["--same-as", folder / "none"], "it has no finished stage 'data'"),
        (["--out", folder / "tiny.toml"], "is a file, not a folder"),
        (["--out"], "--out requires an argument"),
    ):
        out = [] if "--out" in words else ["--out", folder / "other"]
        found = call_groundup(capsys, "build", folder / "tiny.toml", *words, *out)
        assert found.code == 2 and told in found.told, found
        assert found.err.count("\n") <= 2
