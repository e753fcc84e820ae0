"""A finished run, opened to use its model."""

from pathlib import Path

from groundup.core.errors import UserError
from groundup.core.progress import Reporter
from groundup.model.language_model import LanguageModel
from groundup.model.store import load_model
from groundup.pipeline.artifact import Artifact, read_artifact, require_run
from groundup.tokenizer.tokenizer import Tokenizer

MODEL_STAGES = ("sft", "pretrain")
"""Stages whose artifacts hold a model, the one to talk to first."""


def load_run(run: Path, stage: str | None = None) -> tuple[LanguageModel, Tokenizer, str]:
    """The model of a run, that of `stage` or the latest; its tokenizer; and the stage that made it.

    Files are checked against their checksums. Raises UserError if there is no finished model, or a file is damaged.
    """
    require_run(run)
    artifact = _model_artifact(run, stage)
    tokenizer_artifact = read_artifact(run / "tokenizer")
    if tokenizer_artifact is None:
        raise UserError(f"{run} holds no tokenizer", "build it again")
    for part in (artifact, tokenizer_artifact):
        part.verify()
    tokenizer = Tokenizer.load(tokenizer_artifact.folder, Reporter())
    return load_model(artifact.folder, tokenizer.hash), tokenizer, artifact.manifest.stage


def _model_artifact(run: Path, stage: str | None) -> Artifact:
    if stage is not None and stage not in MODEL_STAGES:
        raise UserError(f"stage {stage!r} holds no model", f"choose one of {', '.join(MODEL_STAGES)}")
    for name in [stage] if stage else MODEL_STAGES:
        if artifact := read_artifact(run / name):
            return artifact
    raise UserError(
        f"{run} holds no finished {stage or 'model'}", f"finish it with `groundup build RECIPE --out {run}`"
    )
