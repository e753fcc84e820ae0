"""A finished run, opened to use its model."""

from dataclasses import dataclass
from pathlib import Path

from groundup.core.device import Compute, choose_compute
from groundup.core.errors import UserError
from groundup.core.progress import Reporter
from groundup.model.language_model import LanguageModel
from groundup.model.store import load_model
from groundup.pipeline.artifact import Artifact, read_artifact, require_run
from groundup.tokenizer.tokenizer import Tokenizer

MODEL_STAGES = ("sft", "pretrain")
"""Stages whose artifacts hold a model, the one to talk to first."""


@dataclass(frozen=True)
class TrainedRun:
    """A model with its tokenizer, ready to write."""

    folder: Path
    stage: str
    model: LanguageModel
    tokenizer: Tokenizer
    compute: Compute

    @property
    def is_chat(self) -> bool:
        """Whether the model was taught to answer."""
        return self.stage == "sft"


def load_run(run: Path, stage: str | None = None) -> TrainedRun:
    """Open the model of a run: that of `stage`, or the latest. Files are checked against their checksums.

    Raises UserError if there is no finished model, or a file of it is damaged.
    """
    require_run(run)
    artifact = _model_artifact(run, stage)
    tokenizer_artifact = read_artifact(run / "tokenizer")
    if tokenizer_artifact is None:
        raise UserError(f"{run} holds no tokenizer", "build it again")
    for part in (artifact, tokenizer_artifact):
        part.verify()
    tokenizer = Tokenizer.load(tokenizer_artifact.folder, Reporter())
    model = load_model(artifact.folder, tokenizer.hash)
    # One token at a time is bound by reading weights and by overhead, where autocast only adds work.
    compute = choose_compute("auto", "fp32")
    return TrainedRun(run, artifact.manifest.stage, model.to(compute.device).eval(), tokenizer, compute)


def _model_artifact(run: Path, stage: str | None) -> Artifact:
    if stage is not None and stage not in MODEL_STAGES:
        raise UserError(f"stage {stage!r} holds no model", f"choose one of {', '.join(MODEL_STAGES)}")
    for name in [stage] if stage else MODEL_STAGES:
        if artifact := read_artifact(run / name):
            return artifact
    raise UserError(
        f"{run} holds no finished {stage or 'model'}", f"finish it with `groundup build RECIPE --out {run}`"
    )
