"""What a run folder holds, read from its JSON files into typed records. A stage that is not there is None."""

import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundup.core.errors import UserError
from groundup.core.files import read_json

Facts = dict[str, Any]

STAGES = ("data", "tokenizer", "tokens", "pretrain", "sft", "eval")
_OPTIONAL = frozenset(("sft",))
_RECIPES = ("recipe.toml", "recipe.json")
"""As the person wrote it or, where that is not kept, as it was resolved."""


@dataclass(frozen=True)
class Stage:
    """One finished stage, from its `manifest.json`."""

    name: str
    hash: str
    created: str
    seconds: float | None
    inputs: dict[str, str]
    """Name of each stage that this one was made from, and the content hash that it had then."""
    versions: dict[str, str]
    files: dict[str, int]
    """Size of each file in bytes."""
    decisions: Facts
    facts: Facts

    @property
    def n_bytes(self) -> int:
        """Size of all files."""
        return sum(self.files.values())


@dataclass(frozen=True)
class Training:
    """`metrics.jsonl` of a training stage, finished or not, and what it wrote on the way."""

    steps: list[Facts] = field(default_factory=list)
    validations: list[Facts] = field(default_factory=list)
    samples: list[Facts] = field(default_factory=list)


@dataclass(frozen=True)
class Run:
    """All that the page tells of one run."""

    name: str
    recipe: str
    recipe_file: str
    command: str
    started: str
    machine: Facts
    stages: dict[str, Stage]
    pretrain: Training
    sft: Training
    scores: Facts
    missing: tuple[str, ...]
    """Stages that the recipe asks for and that are not finished."""

    def facts(self, stage: str) -> Facts:
        """The facts of a stage; empty where it is not finished."""
        return self.stages[stage].facts if stage in self.stages else {}


def read_run(folder: Path) -> Run:
    """Read a run folder, finished or not. Raises UserError where it is none, or a file in it is damaged."""
    recipe_file = next((folder / name for name in _RECIPES if (folder / name).is_file()), None)
    if recipe_file is None:
        raise UserError(f"{folder} is not the folder of a run: it holds no recipe", "name one that groundup build made")
    recipe = recipe_file.read_text(encoding="utf-8")
    try:
        tables = tomllib.loads(recipe) if recipe_file.suffix == ".toml" else json.loads(recipe)
    except ValueError as error:
        raise UserError(f"{recipe_file} is damaged: {error}", "build the run again") from None
    build = _optional_json(folder / "build.json")
    stages = {name: stage for name in STAGES if (stage := _read_stage(folder, name))}
    return Run(
        name=str(tables.get("name") or folder.resolve().name),
        recipe=recipe,
        recipe_file=recipe_file.name,
        command=str(build.get("command", "")),
        started=str(build.get("started", "")),
        machine=build.get("machine", {}),
        stages=stages,
        pretrain=_read_training(folder, "pretrain"),
        sft=_read_training(folder, "sft"),
        scores=_optional_json(folder / "eval" / "scores.json"),
        missing=tuple(name for name in STAGES if name not in stages and (name not in _OPTIONAL or tables.get(name))),
    )


def _read_stage(run: Path, name: str) -> Stage | None:
    manifest = _optional_json(run / name / "manifest.json")
    if not manifest:
        return None
    return Stage(
        name=name,
        hash=manifest["hash"],
        created=manifest.get("created", ""),
        seconds=manifest.get("seconds"),
        inputs=manifest.get("inputs", {}),
        versions=manifest.get("versions", {}),
        files={file: entry["bytes"] for file, entry in manifest.get("files", {}).items()},
        decisions=manifest.get("decisions", {}),
        facts=manifest.get("facts", {}),
    )


def _read_training(run: Path, stage: str) -> Training:
    """Of the finished stage or, while it is at work, of the `.partial` folder that it grows in."""
    folder = next((f for f in (run / stage, run / f".{stage}.partial") if f.is_dir()), None)
    if folder is None:
        return Training()
    metrics = _read_lines(folder / "metrics.jsonl")
    return Training(
        steps=[row for row in metrics if "loss" in row],
        validations=[row for row in metrics if "validation_loss" in row],
        samples=_read_lines(folder / "samples.jsonl"),
    )


def _optional_json(path: Path) -> Facts:
    return read_json(path) if path.exists() else {}


def _read_lines(path: Path) -> list[Facts]:
    """The objects of a JSON-lines file; a last line without its end is still being written: left out."""
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True), 1):
        try:
            rows.append(json.loads(line))
        except ValueError:
            if not line.endswith("\n"):
                break
            raise UserError(f"{path}:{number} is not JSON", "delete the stage's folder and build again") from None
    return rows
