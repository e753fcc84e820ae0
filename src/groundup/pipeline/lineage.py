"""What a run holds and what each part of it came from."""

from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from groundup.core.errors import UserError
from groundup.core.progress import human_number, human_time
from groundup.pipeline.artifact import read_artifact, require_run

ORDER = ("data", "tokenizer", "tokens", "pretrain", "sft", "eval")
SHORT = 10
"""Characters of a hash that are shown."""


def describe_run(run: Path) -> dict[str, Any]:
    """Stages of a run, in order: state, hash, inputs, size, time and facts."""
    require_run(run)
    stages = [description for name in ORDER if (description := _describe_stage(run, name))]
    if not stages:
        raise UserError(f"{run} holds no stage of a run", "give the folder of a run, such as runs/shakespeare")
    return {"run": str(run), "stages": stages}


def _describe_stage(run: Path, name: str) -> dict[str, Any] | None:
    artifact = read_artifact(run / name)
    unfinished = (run / f".{name}.partial").exists()
    if artifact is None:
        return {"name": name, "state": "unfinished"} if unfinished else None
    manifest = artifact.manifest
    return {
        "name": name,
        "state": "out of date, being rebuilt" if unfinished else "finished",
        "hash": manifest.hash,
        "inputs": manifest.inputs,
        "created": manifest.created,
        "seconds": manifest.seconds,
        "bytes": sum(file["bytes"] for file in manifest.files.values()),
        "decisions": manifest.decisions,
        "facts": manifest.facts,
    }


def render_run(description: dict[str, Any]) -> RenderableType:
    """The description for a terminal."""
    table = Table(title=description["run"], title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in ("stage", "content", "made of", "size", "time", "what it is"):
        table.add_column(column, header_style="dim", overflow="fold")
    for stage in description["stages"]:
        if stage["state"] == "unfinished":
            table.add_row(stage["name"], "[yellow]unfinished[/]")
            continue
        made_of = "\n".join(f"{name} {digest[:SHORT]}" for name, digest in stage["inputs"].items()) or "sources"
        table.add_row(
            stage["name"],
            stage["hash"][:SHORT],
            made_of,
            human_number(stage["bytes"], "B"),
            human_time(stage["seconds"]),
            _summary(stage["name"], stage["facts"]),
        )
    return Group(table, *_scores(description["stages"]))


def _summary(name: str, facts: dict[str, Any]) -> str:
    if name == "data":
        splits = facts["splits"]
        rejected = sum(reason["documents"] for reason in facts["rejected"].values())
        kept = ", ".join(f"{s['documents']} {split} ({human_number(s['bytes'], 'B')})" for split, s in splits.items())
        return f"{kept}; {rejected} rejected"
    if name == "tokenizer":
        return f"{facts['vocab_size']} tokens, {facts['bytes_per_token']:.2f} bytes/token held out"
    if name == "tokens":
        return ", ".join(f"{human_number(facts[split]['tokens'])} {split}" for split in ("train", "validation"))
    if name in ("pretrain", "sft"):
        return (
            f"{human_number(facts['parameters'])} parameters, {facts['steps']} steps, {human_number(facts['tokens'])} "
            f"tokens, {human_number(facts['tokens_per_second'])} tok/s, "
            f"{facts['validation_bits_per_byte']:.3f} bits/byte in training's own check"
        )
    return f"{human_number(facts['bytes'], 'B')} held out: " + ", ".join(facts["held_out"][:4])


def _scores(stages: list[dict[str, Any]]) -> list[RenderableType]:
    scores = next((s["facts"]["bits_per_byte"] for s in stages if s["name"] == "eval" and "facts" in s), None)
    if scores is None:
        return []
    table = Table(title="\nheld-out bits per byte, lower is better", title_justify="left", box=None, pad_edge=False)
    table.add_column("model", header_style="dim")
    table.add_column("bits/byte", header_style="dim", justify="right")
    table.add_column("")
    top = max(scores.values())
    for name, value in sorted(scores.items(), key=lambda item: item[1]):
        table.add_row(name, f"{value:.3f}", Text("█" * round(40 * value / top), style="cyan"))
    return [table]
