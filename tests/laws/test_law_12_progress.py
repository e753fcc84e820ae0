"""Law 12: long work shows progress, speed and time left; Ctrl-C and SIGTERM checkpoint and leave cleanly."""

import os
import re
import signal
import threading
from contextlib import contextmanager

import pytest

from groundup.core import progress
from groundup.pipeline.artifact import read_artifact
from tiny_project import STAGES, call_groundup, started_groundup, write_project

TASKS = {
    "data": "read documents",
    "tokenizer": "tokenizer: learning",
    "tokens": "encode train",
    "pretrain": "training",
    "sft": "training",
    "eval": "  held-out text",
}
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 0}


def test_training_tells_how_far_it_is_how_fast_and_how_long_it_takes(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_PLAIN_SECONDS", 0.0)  # a line for each step, instead of one in ten seconds
    found = call_groundup(capsys, "build", write_project(tmp_path, sft=False), "--out", tmp_path / "run", "--json")
    lines = [line for line in found.err.splitlines() if line.startswith("training:")]
    assert len(lines) == 6
    assert re.fullmatch(
        r"training:  50%, 3 steps, [\d.]+ steps/s, [\d.]+s left, loss [\d.]+, [\d.]+ bits/byte, "
        r"[\d.]+k? tok/s, MFU \d+%, data wait [\d.]+%",
        lines[2],
    )
    for name in TASKS.values():
        assert f"{name}: " in found.err
    assert found.out.count("\n") == 1


@contextmanager
def signal_in(name, number, calls):
    """Sends this process a signal when the task of this name is advanced for the given time."""
    seen, advance = [], progress._PlainTask.advance

    def advance_and_signal(task, amount, note=""):
        advance(task, amount, note)
        if task.name == name:
            seen.append(amount)
            if len(seen) == calls:
                os.kill(os.getpid(), number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress._PlainTask, "advance", advance_and_signal)
        yield


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_in_each_stage_leaves_cleanly_and_the_same_command_goes_on(tmp_path, capsys, number):
    recipe, run = write_project(tmp_path), tmp_path / "run"
    words = ("build", recipe, "--out", run, "--json")
    for stage in STAGES:
        with signal_in(TASKS[stage], number, calls=2 if TASKS[stage] == "training" else 1):
            found = call_groundup(capsys, *words)
        assert (found.code, found.json["stopped"]) == (SIGNALS[number], number.name)
        assert found.told == f"groundup: stopped by {number.name}; the same command goes on from here"
        assert [name for name in STAGES if (run / name).exists()] == list(STAGES[: STAGES.index(stage)])
        if TASKS[stage] == "training":
            assert (run / f".{stage}.partial" / "checkpoints" / "step-00000002").exists()
        found = call_groundup(capsys, *words, "--until", stage)
        assert found.code == 0 and f"{stage} (going on)" in found.err
        assert ("going on from step 2" in found.err) == (TASKS[stage] == "training")
    for stage in STAGES:
        read_artifact(run / stage).verify()


@pytest.mark.parametrize(("number", "code"), SIGNALS.items(), ids=lambda value: getattr(value, "name", ""))
def test_a_real_process_that_trains_checkpoints_when_it_is_told_to_stop(tmp_path, number, code):
    recipe, run = write_project(tmp_path, sft=False), tmp_path / "run"
    long = ("--pretrain.steps", 100_000, "--pretrain.evaluations", 0, "--pretrain.checkpoint_seconds", 1000)
    with started_groundup("build", recipe, "--out", run, "--json", *long) as process:
        for line in process.stderr:
            if "parameters on" in line:
                threading.Timer(1.0, process.send_signal, [number]).start()
        out = process.stdout.read()
        assert process.wait() == code
    assert number.name in out
    (saved,) = (run / ".pretrain.partial" / "checkpoints").iterdir()
    rows = (run / ".pretrain.partial" / "metrics.jsonl").read_text().splitlines()
    assert saved.name == f"step-{len(rows):08d}"
    assert not (run / "pretrain").exists()
