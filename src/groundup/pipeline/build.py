"""Build a recipe: bring every stage of a run up to date, in order."""

import os
import platform
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from groundup import __version__
from groundup.core.errors import UserError
from groundup.core.files import folder_lock, read_json, write_json
from groundup.core.interrupt import Interrupts
from groundup.core.progress import Reporter, human_time
from groundup.pipeline.artifact import Artifact
from groundup.pipeline.recipe import Recipe
from groundup.pipeline.stage import Stage, Status, Workshop, run_stage
from groundup.pipeline.stages import STAGES
from groundup.report.page import write_report
from groundup.train.loop import SAMPLES
from groundup.train.metrics import read_metrics

CACHE = Path("~/.cache/groundup").expanduser()
BUILD, RECIPE = "build.json", "recipe.json"


@dataclass(frozen=True)
class StageResult:
    """What became of a stage."""

    name: str
    status: Status
    seconds: float


@dataclass(frozen=True)
class BuildResult:
    """What became of a build."""

    run: Path
    stages: list[StageResult]
    artifacts: Mapping[str, Artifact]

    @property
    def bits_per_byte(self) -> float | None:
        """Of the pretrained model on the held-out text; None before it is measured."""
        scores = self.artifacts["eval"].manifest.facts if "eval" in self.artifacts else None
        return scores["bits_per_byte"]["pretrain"] if scores else None

    @property
    def train_seconds(self) -> float:
        """Time spent in training, over all attempts and stages."""
        return sum(a.manifest.facts.get("train_seconds", 0.0) for a in self.artifacts.values())

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "run": str(self.run),
            "stages": [asdict(stage) for stage in self.stages],
            "bits_per_byte": self.bits_per_byte,
            "train_seconds": self.train_seconds,
        }

    def farewell(self) -> str:
        """For people: what was reached, a sample, and what to type next."""
        lines = [f"{self.run}/report.html tells the whole story."]
        if "eval" in self.artifacts:
            facts = self.artifacts["eval"].manifest.facts
            scores = ", ".join(f"{name} {value:.3f}" for name, value in facts["bits_per_byte"].items())
            lines = [facts["sample"], "", f"held-out bits/byte: {scores}", *lines]
        if "sft" in self.artifacts:
            *_, last = read_metrics(self.artifacts["sft"].folder / SAMPLES) or [None]
            lines[:0] = [f"You: {last['prompt']}", f"Model: {last['text']}", ""] if last else []
            lines.append(f"Talk to it: groundup chat {shlex.quote(str(self.run))}")
        elif "pretrain" in self.artifacts:
            lines.append(f"Let it write: groundup generate {shlex.quote(str(self.run))} --prompt TEXT")
        return "\n".join(lines)


@dataclass(frozen=True)
class BuildOptions:
    """How to build, beyond the recipe."""

    until: str | None = None
    """Last stage to run."""
    same_as: Path | None = None
    """A finished run whose recorded decisions (step counts, …) are taken instead of new ones."""
    command: str = ""
    """What the person typed, for the report."""


def build(recipe: Recipe, run: Path, options: BuildOptions, reporter: Reporter, interrupts: Interrupts) -> BuildResult:
    """Bring the run in `run` up to date with the recipe, and write its report.

    Raises UserError for what the user can put right; nothing that was finished is lost by it.
    """
    stages = _wanted(recipe, options.until)
    _refuse_to_read_what_is_written(run, recipe)
    workshop = Workshop(recipe, run, CACHE, reporter, interrupts, options.same_as)
    _make_folder(run)
    with folder_lock(run):
        _claim(run, recipe)
        _write_description(run, recipe, options)
        artifacts: dict[str, Artifact] = {}
        results = []
        for stage in stages:
            inputs = {name: artifacts[name] for name in stage.needs if name in artifacts}
            artifact, status = run_stage(stage, workshop, inputs)
            artifacts[stage.name] = artifact
            results.append(StageResult(stage.name, status, artifact.manifest.seconds))
            _tell(reporter, results[-1])
        write_report(run)
    return BuildResult(run, results, artifacts)


def _wanted(recipe: Recipe, until: str | None) -> list[Stage]:
    stages = [stage for stage in STAGES if stage.config(recipe) is not None]
    names = [stage.name for stage in stages]
    if until is None:
        return stages
    if until not in names:
        raise UserError(f"--until {until}: this recipe has no such stage", f"its stages: {', '.join(names)}")
    return stages[: names.index(until) + 1]


def _refuse_to_read_what_is_written(run: Path, recipe: Recipe) -> None:
    for source in recipe.data.sources:
        text, folder = Path(source.path).expanduser().resolve(), run.resolve()
        if text.is_dir() and folder.is_relative_to(text):
            below = folder.relative_to(text).parts
            if not any(part.startswith(".") for part in below):  # hidden folders are not read
                raise UserError(f"the run {run} lies in its own source {text}", "choose another folder with --out")


def _make_folder(run: Path) -> None:
    try:
        run.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UserError(f"{run} is a file, not a folder", "choose another place with --out") from None
    except PermissionError:
        raise UserError(f"{run} cannot be written to", "choose another place with --out") from None


def _claim(run: Path, recipe: Recipe) -> None:
    """Refuse a folder that holds another run."""
    if (run / RECIPE).exists() and (other := read_json(run / RECIPE)["name"]) != recipe.name:
        raise UserError(f"{run} holds the run {other!r}, not {recipe.name!r}", "choose another folder with --out")


def _write_description(run: Path, recipe: Recipe, options: BuildOptions) -> None:
    write_json(run / RECIPE, recipe.model_dump(mode="json"))
    machine = {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "groundup": __version__,
    }
    started = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(run / BUILD, {"command": options.command, "started": started, "machine": machine})


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _tell(reporter: Reporter, result: StageResult) -> None:
    took = f" in {human_time(result.seconds)}" if result.status != "skipped" else ""
    reporter.say(f"[green]✓[/] {result.name} {result.status}{took}")
