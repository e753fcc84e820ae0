import json
import shutil

import pytest

from tiny_project import STAGES, call_groundup


@pytest.fixture
def run(project, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(project[0] / "runs" / "tiny", tmp_path / "run")


def test_stages_are_listed_with_their_hashes_and_sizes(run, capsys):
    found = call_groundup(capsys, "show", run)
    manifest = json.loads((run / "pretrain" / "manifest.json").read_text())
    assert (found.code, found.err) == (0, "")
    assert manifest["hash"][:10] in found.out
    shown = call_groundup(capsys, "show", run, "--json").json
    assert [stage["name"] for stage in shown["stages"]] == list(STAGES)
    assert shown["stages"][3]["hash"] == manifest["hash"]
    assert shown["stages"][3]["bytes"] == sum(file["bytes"] for file in manifest["files"].values())


def test_what_is_unfinished_is_shown_as_such(run, capsys):
    (run / ".pretrain.partial").mkdir()
    (run / "sft").rename(run / ".sft.partial")
    assert "unfinished" in call_groundup(capsys, "show", run).out
    shown = call_groundup(capsys, "show", run, "--json").json
    states = {stage["name"]: stage["state"] for stage in shown["stages"]}
    assert states == dict.fromkeys(STAGES, "finished") | {"pretrain": "out of date, being rebuilt", "sft": "unfinished"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"format": 99, "groundup": "9.9"}', "written by groundup 9.9 (format 99)"),
        ("{", "is damaged"),
        ("{}", "is damaged"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_told(run, capsys, content, told):
    (run / "sft" / "manifest.json").write_text(content)
    for words in (["show", run], ["generate", run], ["chat", run, "--message", "hi"]):
        found = call_groundup(capsys, *words)
        assert (found.code, found.err.count("\n")) == (2, 1)
        assert told in found.err
