"""A first recipe for somebody's own text: look at the text and the machine, and write what fits."""

import json
import re
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
SEPARATORS = ("<|endoftext|>", "<|end_of_text|>", "<|end_of_story|>", "</s>")


def new_recipe(folder: Path, data: str, minutes: float, reporter: Reporter) -> dict[str, Any]:
    """Write `folder`/recipe.toml for the text at `data`; returns what was found and chosen.

    Raises UserError if there is no text, too little of it, or a recipe is there already.
    """
    path = folder / "recipe.toml"
    if path.exists():
        raise UserError(f"{path} exists already", f"build it with `groundup build {path}`, or delete it")
    source = Source(path=data if ":" in data else str(Path(data).expanduser().resolve()))
    survey = describe([source], folder, reporter)
    if separator := next((s for s in SEPARATORS if any(text.count(s) > 2 for text in survey.sample)), ""):
        source = source.model_copy(update={"separator": separator})
        survey = describe([source], folder, reporter)
    text_bytes = survey.facts["text_bytes"]
    if text_bytes < 4096:
        raise UserError(f"{data} holds {text_bytes} bytes of text", "a model needs some thousands at the very least")
    peak = measure_matmul_peak(choose_compute("auto", "auto"))
    sizes = choose_sizes(text_bytes, minutes, peak)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-") or "model"
    text = _template().render(**_values(path, folder, name, source, survey, sizes, peak))
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    weights = weights_of(sizes.n_layers, sizes.d_model, sizes.vocab_size)
    reporter.say(
        f"{survey.facts['files']} files, {human_number(text_bytes, 'B')} of text; a model of {human_number(weights)} weights"
    )
    return {"recipe": str(path), "text": survey.facts, "weights": weights, "expected_tokens": sizes.expected_tokens}


def _values(
    path: Path, folder: Path, name: str, source: Source, survey: Survey, sizes: Sizes, peak: float
) -> dict[str, Any]:
    facts = survey.facts
    few = facts["documents"] < FEW_DOCUMENTS
    # Some forty pieces at least, and none too short to learn from.
    piece = min(1 << 20, max(2048, facts["text_bytes"] // (2 * FEW_DOCUMENTS)))
    rows = 32 if sizes.expected_tokens > 1_000_000 else 8
    return {
        "path": path,
        "out": folder,
        "name": name,
        "source": source.path,
        "separator": source.separator,
        "files": facts["files"],
        "documents": human_number(facts["documents"]),
        "text": human_number(facts["text_bytes"], "B"),
        "peak": human_number(peak),
        "held_out_by_pieces": few,
        "max_document_bytes": piece,
        "validation_fraction": 0.1 if facts["text_bytes"] < 2_000_000 else 0.05,
        "sizes": sizes,
        "parameters": human_number(weights_of(sizes.n_layers, sizes.d_model, sizes.vocab_size)),
        "tokens": human_number(sizes.expected_tokens),
        "epochs": f"{sizes.epochs:.1f}" + (" (at most)" if sizes.epochs >= MAX_EPOCHS else ""),
        "batch_tokens": rows * sizes.max_seq_len,
        "sft_minutes": max(0.5, round(sizes.minutes / 5, 1)),
    }


def _template() -> jinja2.Template:
    source = files("groundup.pipeline").joinpath("recipe.toml.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(keep_trailing_newline=True, undefined=jinja2.StrictUndefined, autoescape=False)
    environment.filters["quoted"] = json.dumps  # TOML's basic strings are written as JSON's
    return environment.from_string(source)
