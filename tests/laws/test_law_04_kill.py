"""Law 4: kill -9 at any moment, start again: weights and losses are identical to a run that was never killed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from groundup.core.files import replace_folder
from groundup.model.parts import MoeConfig
from groundup.model.store import load_weights, weights
from groundup.optim.config import OptimConfig
from groundup.optim.optimizer import Optimizer
from groundup.train.checkpoint import Checkpoint, CheckpointFolder
from groundup.train.step import Stepper
from tiny_project import STAGES, call_groundup, write_project

KILL = Path(__file__).parents[2] / "bench" / "kill.py"


EXPERTS = """
[model.moe]
n_experts = 4
d_expert = 32
"""


def killed_builds(folder, kills, seed, *, sft, more=""):
    steps = ("--pretrain.steps", "120", "--pretrain.checkpoint_seconds", "0.1")
    recipe = write_project(folder, sft=sft)
    recipe.write_text(recipe.read_text() + more)
    command = [sys.executable, KILL, recipe, "--kills", str(kills), "--seed", str(seed), *steps]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_a_build_that_was_killed_ends_with_the_same_bytes_and_losses(tmp_path):
    found = killed_builds(tmp_path, kills=2, seed=2, sft=False)
    assert found["identical"] == {"artifacts": True, "weights": True, "losses": True}
    assert found["kills"] >= 1
    assert (set(found["weights"]), found["rows_of_losses"]) == ({"pretrain"}, 122)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_build_that_was_killed_seven_times_ends_with_the_same_bytes_and_losses(tmp_path, seed):
    found = killed_builds(tmp_path, kills=7, seed=seed, sft=True)
    assert found["identical"] == {"artifacts": True, "weights": True, "losses": True}
    assert found["kills"] >= 5
    assert set(found["weights"]) == {"pretrain", "sft"}


@pytest.mark.slow
@pytest.mark.parametrize("balance", ["loss", "bias"])
def test_so_does_one_of_experts(tmp_path, balance):
    found = killed_builds(tmp_path, kills=3, seed=4, sft=False, more=f'{EXPERTS}balance = "{balance}"\n')
    assert found["identical"] == {"artifacts": True, "weights": True, "losses": True}
    assert found["kills"] >= 1


@pytest.mark.parametrize("balance", ["loss", "bias"])
def test_what_balances_experts_goes_on_from_a_checkpoint_to_the_bit(
    balance, make_model, objective, fp32, batches, tmp_path
):
    def stepper():
        model = make_model(moe=MoeConfig(n_experts=4, d_expert=32, balance=balance))
        return Stepper(model, objective, Optimizer(model, OptimConfig()), fp32)

    whole, first, second = stepper(), stepper(), stepper()
    results = [whole.update(batches, step, 1e-2, 4, seed=0) for step in range(4)]
    for step in range(2):
        first.update(batches, step, 1e-2, 4, seed=0)
    folder = CheckpointFolder(tmp_path, keep=1)
    folder.save(Checkpoint(2, 0.0, weights(first.model), first.optimizer.state()))
    stored = folder.latest()
    assert stored is not None
    load_weights(second.model, stored.model)
    second.optimizer.load_state(stored.optimizer)
    again = [second.update(batches, step, 1e-2, 4, seed=0) for step in (2, 3)]
    assert [(r.loss, r.auxiliary_loss, r.experts) for r in again] == [
        (r.loss, r.auxiliary_loss, r.experts) for r in results[2:]
    ]
    found, expected = weights(second.model), weights(whole.model)
    assert any("router" in name and tensor.dim() == 1 for name, tensor in expected.items())
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor)


def hashes(run):
    return {name: json.loads((run / name / "manifest.json").read_text())["hash"] for name in STAGES}


def test_a_cut_at_either_side_of_the_last_rename_of_a_stage_loses_nothing(tmp_path, capsys):
    recipe, run = write_project(tmp_path), tmp_path / "run"
    assert call_groundup(capsys, "build", recipe, "--out", run).code == 0
    expected = hashes(run)
    # Before: what lay there is out of the way, what comes has its name of before.
    (run / "sft").rename(run / ".sft.partial")
    found = call_groundup(capsys, "build", recipe, "--out", run, "--json")
    assert [s["name"] for s in found.json["stages"] if s["status"] != "skipped"] == ["sft"]
    # After: checkpoints and the like have not been removed yet.
    (run / "pretrain" / "checkpoints").mkdir()
    (run / "pretrain" / "progress.json").write_text("{}")
    assert call_groundup(capsys, "build", recipe, "--out", run).code == 0
    assert not {"checkpoints", "progress.json"} & {path.name for path in (run / "pretrain").iterdir()}
    assert hashes(run) == expected


def test_what_a_cut_between_two_renames_has_put_aside_is_removed_by_the_next(tmp_path):
    for name in ("new", ".target.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    replace_folder(tmp_path / "new", tmp_path / "target")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert (tmp_path / "target" / "file").read_text() == "new"


def test_the_good_checkpoint_is_not_touched_before_the_next_is_whole(tmp_path, capsys):
    recipe, run = write_project(tmp_path, sft=False), tmp_path / "run"
    words = ("build", recipe, "--out", run, "--until", "pretrain", "--pretrain.evaluations", "0")
    checkpoints = run / ".pretrain.partial" / "checkpoints"
    with pytest.MonkeyPatch.context() as patch:
        from groundup.train import checkpoint

        saved = []

        def fail_at_the_third(tensors, path):
            saved.append(path)
            if len(saved) == 5:  # two files each
                path.write_bytes(b"half")
                raise KeyboardInterrupt
            save(tensors, path)

        save = checkpoint.save_file
        patch.setattr(checkpoint, "save_file", fail_at_the_third)
        assert call_groundup(capsys, *words).code == 130
    assert {path.name for path in checkpoints.glob("step-*")} == {"step-00000001", "step-00000002"}
    assert (checkpoints / ".step-00000003.partial").exists()
    first = shutil.copytree(run, tmp_path / "copy")
    for folder in (run, first):
        found = call_groundup(capsys, *words[:3], folder, *words[4:])
        assert "going on from step 2 of 6" in found.err
