"""Checkpoints: written beside, synced, renamed; verified when read (Laws 4 to 6).

RUN/…/checkpoints/step-00001200/{model,optimizer}.safetensors, state.json, checksums.json
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from groundup.core.errors import UserError
from groundup.core.files import read_json, sha256_of, sync_tree, write_json

MODEL, OPTIMIZER, STATE, CHECKSUMS = "model.safetensors", "optimizer.safetensors", "state.json", "checksums.json"


@dataclass(frozen=True)
class Checkpoint:
    """Everything that training needs to go on: it follows from these tensors and the number of steps done."""

    step: int
    seconds: float
    """Time spent in training so far."""
    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]


class CheckpointFolder:
    """The checkpoints of one training, newest last."""

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder, self._keep = folder, keep

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint; older ones are removed only when it is whole and in its place."""
        self._folder.mkdir(parents=True, exist_ok=True)
        final = self._folder / f"step-{checkpoint.step:08d}"
        partial = self._folder / f".{final.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        save_file(checkpoint.model, partial / MODEL)
        save_file(checkpoint.optimizer, partial / OPTIMIZER)
        write_json(partial / STATE, {"step": checkpoint.step, "seconds": checkpoint.seconds})
        write_json(partial / CHECKSUMS, {name: sha256_of(partial / name) for name in (MODEL, OPTIMIZER, STATE)})
        sync_tree(partial)
        if final.exists():  # the same step again, after a cut: what is there is as good, but not proven to be whole
            shutil.rmtree(final)
        partial.rename(final)
        for old in self.steps()[: -self._keep]:
            shutil.rmtree(old)
        return final

    def steps(self) -> list[Path]:
        """Folders of the whole checkpoints, oldest first."""
        return sorted(self._folder.glob("step-*"))

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint, verified; None if there is none.

        Raises UserError if a byte of it has changed since it was written.
        """
        found = self.steps()
        return _read(found[-1]) if found else None


def _read(folder: Path) -> Checkpoint:
    for name, expected in read_json(folder / CHECKSUMS).items():
        if not (folder / name).exists() or sha256_of(folder / name) != expected:
            raise UserError(
                f"checkpoint {folder} is damaged: {name} does not have the checksum that was written with it",
                f"delete {folder} to go on from the checkpoint before it",
            )
    state = read_json(folder / STATE)
    return Checkpoint(state["step"], state["seconds"], load_file(folder / MODEL), load_file(folder / OPTIMIZER))
