"""A first recipe for somebody's own text: look at the text and the machine, and write what fits."""

import json
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from groundup.core.device import choose_compute, measure_matmul_peak
from groundup.core.errors import UserError
from groundup.core.files import write_text
from groundup.core.progress import Reporter, human_number
from groundup.data.config import Source
from groundup.data.survey import Survey, describe
from groundup.pipeline.sizing import MAX_EPOCHS, Sizes, choose_sizes, weights_of

FEW_DOCUMENTS = 40
"""With fewer documents than this, whole ones cannot be held out fairly."""
HELD_OUT_DOCUMENTS = 5
"""As many are to be expected in the held-out share, which a hash picks: one time in 150 it is then none."""
LEAST_DOCUMENTS, LEAST_BYTES = 6, 20_000
"""Of less, neither the smallest vocabulary nor a held-out share can be made."""
SEPARATORS = ("<|endoftext|>", "<|end_of_text|>", "<|end_of_story|>", "</s>")


@dataclass(frozen=True)
class Holdout:
    """How some of a text is kept for validation."""

    piece_bytes: int
    """Files are cut into documents of this size; 0: documents stay as they are."""
    share: float
    """Of the documents."""


def choose_holdout(survey: Survey) -> Holdout:
    """Whole documents where there are many, else pieces. Raises UserError if there are too few of both."""
    size, documents = survey.facts["text_bytes"], survey.facts["documents"]
    piece = 0
    if documents < FEW_DOCUMENTS and survey.facts["kinds"] == ["text"]:
        longest_line = max(len(line.encode()) for text in survey.sample for line in text.split("\n"))
        # Some forty pieces at least; what is longer than a piece and has no line break would be dropped.
        piece = max(1024, min(1 << 20, size // (2 * FEW_DOCUMENTS)), 2 * longest_line)
        documents = max(documents, size // piece)
    if documents < LEAST_DOCUMENTS:
        what = "pieces between line breaks" if piece else "documents"
        raise UserError(f"the text has only {documents} {what}, too few to hold some out", "give more, shorter ones")
    share = max(0.1 if size < 2_000_000 else 0.05, HELD_OUT_DOCUMENTS / documents)
    return Holdout(piece, min(share, 0.45))


def new_recipe(folder: Path, data: str, minutes: float, reporter: Reporter) -> dict[str, Any]:
    """Write `folder`/recipe.toml for the text at `data`; returns what was found and chosen.

    Raises UserError if there is no text, too little of it, or a recipe is there already.
    """
    path = folder / "recipe.toml"
    if path.exists():
        raise UserError(f"{path} exists already", f"build it with `groundup build {path}`, or delete it")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file, not a folder", "choose another place for the recipe")
    remote = data.startswith(("pypi:", "hf:"))
    source = Source(path=data if remote else str(Path(data).expanduser().resolve()))
    survey = describe([source], folder, reporter)
    if separator := next((s for s in SEPARATORS if any(text.count(s) > 2 for text in survey.sample)), ""):
        source = source.model_copy(update={"separator": separator})
        survey = describe([source], folder, reporter)
    text_bytes = survey.facts["text_bytes"]
    if text_bytes < LEAST_BYTES:
        raise UserError(f"{data} holds {text_bytes} bytes of text", f"a model needs {LEAST_BYTES} at the very least")
    holdout = choose_holdout(survey)
    peak = measure_matmul_peak(choose_compute("auto", "auto"))
    sizes = choose_sizes(text_bytes, minutes, peak)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-") or "model"
    text = _template().render(**_values(path, name, source, survey, holdout, sizes, peak))
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    weights = weights_of(sizes.n_layers, sizes.d_model, sizes.vocab_size)
    found = f"{survey.facts['files']} files, {human_number(text_bytes, 'B')} of text"
    reporter.say(f"{found}; a model of {human_number(weights)} weights")
    return {"recipe": str(path), "text": survey.facts, "weights": weights, "expected_tokens": sizes.expected_tokens}


def _values(
    path: Path, name: str, source: Source, survey: Survey, holdout: "Holdout", sizes: Sizes, peak: float
) -> dict[str, Any]:
    facts = survey.facts
    return {
        "path": path,
        "out": path.parent,
        "name": name,
        "source": source.path,
        "separator": source.separator,
        "files": facts["files"],
        "text": human_number(facts["text_bytes"], "B"),
        "peak": human_number(peak),
        "piece_bytes": holdout.piece_bytes,
        "validation_fraction": round(holdout.share, 2),
        "sizes": sizes,
        "parameters": human_number(weights_of(sizes.n_layers, sizes.d_model, sizes.vocab_size)),
        "tokens": human_number(sizes.expected_tokens),
        "epochs": f"{sizes.epochs:.1f}" + (" (at most)" if sizes.epochs >= MAX_EPOCHS else ""),
        "sft_minutes": max(0.5, round(sizes.minutes / 5, 1)),
    }


def _template() -> jinja2.Template:
    source = files("groundup.pipeline").joinpath("recipe.toml.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(keep_trailing_newline=True, undefined=jinja2.StrictUndefined, autoescape=False)
    environment.filters["quoted"] = json.dumps  # TOML's basic strings are written as JSON's
    return environment.from_string(source)
