"""`report.html`: all that is known of a run on one page without network, scripts or other files."""

import re
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from groundup.core.files import write_text
from groundup.report import charts, figures
from groundup.report.data import Run, Training, read_run

FILE = "report.html"

_RECIPE = re.compile(
    r"""(?P<field> "[\w.\-]+"(?=:[ ]) )
      | (?P<string> "(?:\\.|[^"\\\n])*" | '[^'\n]*' )
      | (?P<comment> \#[^\n]* )
      | (?P<table> ^\[[^\n\#]*\] )
      | (?P<key> ^[\w.\-]+(?=\s*=) )""",
    re.MULTILINE | re.VERBOSE,
)
_SMALL_CHARTS = (
    ("loss", "Loss", "mean cross-entropy of a token, in nats", False),
    ("lr", "Learning rate", "a pure function of the step", True),
    ("grad_norm", "Gradient norm", "before clipping", True),
    ("tokens_per_second", "Throughput", "tokens a second", True),
    ("auxiliary_loss", "Auxiliary loss", "what is learned beside the next token, in nats", True),
    ("moe_max_load", "Busiest expert", "its share of tokens, where 1 is even", True),
    ("moe_idle_experts", "Idle experts", "that saw no token in a step", True),
)


def write_report(run: Path) -> Path:
    """Write `report.html` into the folder of a run, finished or not, and return its path.

    Raises UserError where `run` is not the folder of a run, or a file in it is damaged.
    """
    path = run / FILE
    write_text(path, render(read_run(run)))
    return path


def render(run: Run) -> str:
    """The page as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("groundup.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=figures.count,
        whole=figures.whole,
        duration=figures.duration,
        decimal=figures.decimal,
        percent=figures.percent,
        printable=figures.printable,
        visible=figures.visible,
        recipe_pieces=recipe_pieces,
    )
    style = resources.files("groundup.report").joinpath("report.css").read_text(encoding="utf-8")
    return environment.get_template("report.html.jinja").render(
        run=run,
        style=Markup(style),  # ours, and no HTML
        tiles=figures.tiles(run),
        held_out=figures.held_out(run),
        comparison=figures.comparison(run),
        bars=figures.score_bars(run),
        account=figures.account(run.facts("data")) if "data" in run.stages else None,
        lineage=figures.lineage(run.stages),
        versions=figures.versions(run),
        trainings=[
            ("pretrain", "Pretraining", training_charts(run.pretrain), run.facts("pretrain")),
            ("sft", "Chat training", training_charts(run.sft), run.facts("sft")),
        ],
        samples=samples(run.pretrain),
        chat_samples=samples(run.sft),
    )


def training_charts(training: Training) -> dict[str, Any]:
    """The charts of one training stage as SVG: `curve` (wide, narrow), what it shows, and `small` ones."""
    steps, validations = training.steps, training.validations
    if len(steps) < 2:
        return {}
    field = "bits_per_byte" if any(row.get("bits_per_byte") is not None for row in steps) else "loss"
    curve = [charts.learning_curve(steps, validations, field, size) for size in (charts.WIDE, charts.NARROW)]
    small = [
        (title, note, Markup(charts.small_curve(steps, name, zero=zero)))
        for name, title, note, zero in _SMALL_CHARTS
        if name != field and any(row.get(name) is not None for row in steps)
    ]
    return {
        "field": "bits per byte" if field == "bits_per_byte" else "loss (nats a token)",
        "wide": Markup(curve[0]),
        "narrow": Markup(curve[1]),
        "validated": bool(validations),
        "small": small,
        "data_wait": figures.mean_share(steps, "data_wait"),
    }


def samples(training: Training) -> list[dict[str, Any]]:
    """Samples from early to late, as prompt and continuation, with the tokens seen by then where known."""
    tokens = {row["step"]: row["tokens"] for row in training.steps + training.validations}
    return [
        {
            "step": sample["step"],
            "tokens": tokens.get(sample["step"]),
            "prompt": sample["prompt"],
            "text": sample["text"],
        }
        for sample in sorted(training.samples, key=lambda sample: sample["step"])
    ]


def recipe_pieces(source: str) -> list[tuple[str, str]]:
    """(kind, text) pieces of a recipe, TOML or JSON, for coloring; joined, the texts are the source."""
    pieces, end = [], 0
    for match in _RECIPE.finditer(source):
        pieces.append(("", source[end : match.start()]))
        pieces.append((match.lastgroup or "", match.group()))
        end = match.end()
    return [*pieces, ("", source[end:])]
