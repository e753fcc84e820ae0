import pytest
import torch

from groundup.core.errors import UserError
from groundup.train.checkpoint import Checkpoint, CheckpointFolder


def checkpoint(step):
    return Checkpoint(step, step * 1.5, {"w": torch.full((3,), float(step))}, {"w:momentum": torch.ones(3)})


def test_the_newest_checkpoint_comes_back(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=2)
    assert folder.latest() is None
    for step in (1, 2, 3):
        folder.save(checkpoint(step))
    latest = folder.latest()
    assert latest is not None
    assert (latest.step, latest.seconds) == (3, 4.5)
    assert torch.equal(latest.model["w"], torch.full((3,), 3.0))
    assert torch.equal(latest.optimizer["w:momentum"], torch.ones(3))


def test_the_last_k_are_kept(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=2)
    for step in (1, 2, 10):
        folder.save(checkpoint(step))
    assert [path.name for path in folder.steps()] == ["step-00000002", "step-00000010"]


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json"])
def test_a_flipped_byte_is_refused_by_name(tmp_path, name):
    folder = CheckpointFolder(tmp_path, keep=2)
    folder.save(checkpoint(1))
    path = folder.save(checkpoint(2)) / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=f"{name} does not have the checksum") as error:
        folder.latest()
    assert "delete" in error.value.hint


def test_a_checkpoint_that_was_cut_off_is_not_one(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=2)
    folder.save(checkpoint(1))
    partial = tmp_path / ".step-00000002.partial"
    partial.mkdir()
    (partial / "model.safetensors").write_bytes(b"half")
    latest = folder.latest()
    assert latest is not None
    assert latest.step == 1
    folder.save(checkpoint(2))
    assert not partial.exists()
