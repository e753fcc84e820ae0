"""A stage: from its config and its input artifacts to one new artifact."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from safetensors import SafetensorError

from groundup.core.decisions import FILE as DECISIONS
from groundup.core.decisions import Decisions
from groundup.core.errors import UserError
from groundup.core.files import os_error_in, read_json, replace_folder, sync_tree, write_json
from groundup.core.interrupt import Interrupts
from groundup.core.progress import Reporter
from groundup.pipeline.artifact import (
    MANIFEST,
    Artifact,
    Manifest,
    checksums,
    content_hash,
    hash_of,
    read_artifact,
    write_manifest,
)
from groundup.pipeline.recipe import Recipe

PROGRESS = "progress.json"
"""In a folder that is being worked on: key of what is made there, seconds that earlier attempts took."""

Status = Literal["built", "skipped", "resumed"]


@dataclass(frozen=True)
class Workshop:
    """What all stages of a build share."""

    recipe: Recipe
    run: Path
    cache: Path
    """Downloads, shared by all runs."""
    reporter: Reporter
    interrupts: Interrupts
    same_as: Path | None = None
    """A finished run whose decisions are taken over."""


@dataclass(frozen=True)
class Context:
    """What one stage works with."""

    recipe: Recipe
    folder: Path
    """Where it writes. It may hold what an earlier attempt at the same left there."""
    cache: Path
    inputs: Mapping[str, Artifact]
    decisions: Decisions
    reporter: Reporter
    interrupts: Interrupts


class Stage(Protocol):
    """One kind of stage."""

    name: str
    needs: tuple[str, ...]
    """Stages whose artifacts it reads."""
    version: int
    """Raised when the code makes something else of the same inputs."""
    logs: tuple[str, ...]
    """Files that tell of the making and are not content."""
    scratch: tuple[str, ...]
    """Files and folders that are of use only until the stage is done; they are removed then."""

    def config(self, recipe: Recipe) -> dict[str, Any] | None:
        """Everything of the recipe and of the world that the outcome depends on; None: not part of this recipe."""
        ...

    def run(self, context: Context) -> dict[str, Any]:
        """Do the work; returns facts for people. Safe to be killed anywhere and called again."""
        ...


def stage_key(stage: Stage, config: dict[str, Any], seed: int, inputs: Mapping[str, Artifact]) -> str:
    """Hash of everything that the stage's artifact follows from."""
    hashes = {name: artifact.manifest.hash for name, artifact in inputs.items()}
    return hash_of([stage.name, stage.version, config, seed, hashes])


def run_stage(stage: Stage, workshop: Workshop, inputs: dict[str, Artifact]) -> tuple[Artifact, Status]:
    """Bring a stage's artifact up to date: skip it, go on with it, or make it anew."""
    config = stage.config(workshop.recipe)
    assert config is not None
    key = stage_key(stage, config, workshop.recipe.seed, inputs)
    final, partial = workshop.run / stage.name, workshop.run / f".{stage.name}.partial"
    existing = read_artifact(final)
    if existing and existing.manifest.key == key:
        _clear(stage, final)  # of what a cut just before the end of the stage has left
        return existing, "skipped"
    resumed = _prepare(partial, key)
    workshop.reporter.say(f"[bold]{stage.name}[/]" + (" (going on)" if resumed else ""))
    for artifact in inputs.values():
        artifact.verify()
    decisions = Decisions(partial, example=_decisions_of(workshop.same_as, stage.name))
    facts, seconds = _run_timed(stage, workshop, partial, inputs, decisions, key)
    hashes = {name: artifact.manifest.hash for name, artifact in inputs.items()}
    draft = Manifest(stage.name, key, "", seconds, config, hashes, {}, decisions.made, facts)
    _finish(stage, partial, final, draft)
    artifact = read_artifact(final)
    assert artifact
    return artifact, "resumed" if resumed else "built"


def _run_timed(
    stage: Stage, workshop: Workshop, partial: Path, inputs: dict[str, Artifact], decisions: Decisions, key: str
) -> tuple[dict[str, Any], float]:
    """Facts, and seconds of this and earlier attempts (one that was killed outright leaves none)."""
    earlier, start = read_json(partial / PROGRESS)["seconds"], time.perf_counter()
    context = Context(
        workshop.recipe, partial, workshop.cache, inputs, decisions, workshop.reporter, workshop.interrupts
    )
    try:
        facts = stage.run(context)
    except SafetensorError as error:
        raise os_error_in(error) or error from error
    finally:
        seconds = earlier + time.perf_counter() - start
        write_json(partial / PROGRESS, {"key": key, "seconds": seconds})
    return facts, seconds


def _decisions_of(run: Path | None, stage: str) -> dict[str, Any]:
    if run is None:
        return {}
    artifact = read_artifact(run / stage)
    if artifact is None:
        raise UserError(f"--same-as {run}: it has no finished stage {stage!r}", "name a finished run")
    return artifact.manifest.decisions


def _prepare(partial: Path, key: str) -> bool:
    """Make the working folder ready; returns whether it holds an attempt at the same thing."""
    progress = partial / PROGRESS
    if progress.exists() and read_json(progress)["key"] == key:
        return True
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write_json(progress, {"key": key, "seconds": 0.0})
    return False


def _finish(stage: Stage, partial: Path, final: Path, draft: Manifest) -> None:
    """Checksum, sync and put in place. Scratch is removed only after that: until then it serves to go on."""
    files = checksums(partial, left_out=(*_scratch(stage), MANIFEST))
    write_manifest(partial, replace(draft, files=files, hash=content_hash(files, stage.logs)))
    sync_tree(partial)
    replace_folder(partial, final)
    _clear(stage, final)


def _scratch(stage: Stage) -> tuple[str, ...]:
    return (*stage.scratch, PROGRESS, DECISIONS)


def _clear(stage: Stage, final: Path) -> None:
    for name in _scratch(stage):
        path = final / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
