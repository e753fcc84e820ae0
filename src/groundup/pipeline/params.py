"""How large a model is, from its config alone: no weights, no torch."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from groundup.core.config import Config
from groundup.core.errors import UserError
from groundup.core.files import read_json
from groundup.core.progress import human_number
from groundup.model.config import ModelConfig
from groundup.model.count import (
    count_parameters,
    flops_per_token,
    generation_flops_per_token,
    kv_bytes_per_token,
)
from groundup.model.preset import Preset, load_preset, preset_names
from groundup.pipeline.load import load_recipe
from groundup.pipeline.mistakes import read_toml, validate
from groundup.pipeline.recipe import ModelTable, Recipe

BITS: Mapping[str, float] = {"fp32": 32, "bf16": 16, "fp16": 16, "q8_0": 8.5, "q4_0": 4.5}
"""Bits of a weight by the type that it is stored in. 32 weights of q8_0 and q4_0 share a scale of 16 bits."""
CACHED = ("bf16", "fp16", "fp32")
"""Types of a cache."""
_MODELS = ("config.json", "sft/config.json", "pretrain/config.json")
"""Where a folder may describe a model, the one to talk to first."""
_HINT = "give a preset, a TOML file, or the folder of a run, of an imported model or of Hugging Face"

_Schema = TypeVar("_Schema", bound=Config)


class PresetFile(Config):
    """A preset of one's own: the same keys as in `model/presets/*.toml`."""

    vocab_size: int = Field(ge=1)
    """Tokens of the vocabulary."""
    model: ModelTable
    """The architecture."""


@dataclass(frozen=True)
class NamedModel:
    """A model that is described, and need not exist."""

    name: str
    about: str
    config: ModelConfig
    vocab_size: int


def find_model(source: str, vocab_size: int | None = None) -> NamedModel:
    """What `source` stands for: a preset, a recipe or a preset in TOML, or the folder of a run or of a model.

    `vocab_size` takes the place of its own. Raises UserError if there is no such thing, with the nearest preset.
    """
    if vocab_size is not None and vocab_size < 1:
        raise UserError(f"--vocab-size {vocab_size} is no number of tokens", "give at least 1")
    path = Path(source)
    is_path = path.exists() or path.suffix == ".toml" or len(path.parts) > 1
    if source in preset_names() or not is_path:
        preset = load_preset(source)
        return NamedModel(source, preset.about, preset.config, vocab_size or preset.vocab_size)
    name, (config, own) = (path.resolve().name, _read_folder(path)) if path.is_dir() else (path.stem, _read_toml(path))
    if not (size := vocab_size or own):
        raise UserError(f"{source} has a vocabulary that is not read yet", "say how large it is with --vocab-size")
    return NamedModel(name, "", config, size)


def _read_toml(path: Path) -> tuple[ModelConfig, int | None]:
    if path.exists() and path.suffix != ".toml":
        raise UserError(f"{path} is no TOML file", _HINT)
    source, values = read_toml(path, _HINT)
    if "vocab_size" in values:
        preset = validate(PresetFile, values, path, source)
        return preset.model, preset.vocab_size
    return _of_recipe(load_recipe(path))


def _of_recipe(recipe: Recipe) -> tuple[ModelConfig, int | None]:
    return recipe.model, None if recipe.tokenizer.path else recipe.tokenizer.vocab_size


def _read_folder(folder: Path) -> tuple[ModelConfig, int | None]:
    """Of a model, a run that has one, a run that has none yet, or a recipe."""
    if path := next((folder / name for name in _MODELS if (folder / name).exists()), None):
        found = read_json(path)
        found = found if isinstance(found, dict) else {}
        if "model_type" in found:
            from groundup.interop.hugging_face.families import family_of  # which needs torch

            return family_of(found, str(path)).read(found, str(path))
        stored = _stored(PresetFile, {key: found.get(key) for key in PresetFile.model_fields}, path)
        return stored.model, stored.vocab_size
    if (folder / "recipe.json").exists():
        return _of_recipe(_stored(Recipe, read_json(folder / "recipe.json"), folder / "recipe.json"))
    if (folder / "recipe.toml").exists():
        return _read_toml(folder / "recipe.toml")
    raise UserError(f"{folder} holds no model", _HINT)


def _stored(schema: type[_Schema], values: Any, path: Path) -> _Schema:
    try:
        return schema.model_validate_json(json.dumps(values))
    except ValidationError:
        raise UserError(f"{path} does not describe a model", "it is damaged, or a newer groundup wrote it") from None


def describe_model(model: NamedModel, seq_len: int | None, dtype: str) -> dict[str, Any]:
    """Sizes, costs of a token in a sequence of `seq_len` tokens (None: the longest), bytes of a cache of `dtype`.

    Raises UserError for a type or a length that cannot be.
    """
    config, size = model.config, model.vocab_size
    if dtype not in CACHED:
        raise UserError(f"--dtype {dtype} is no type of a cache", f"choose one of {', '.join(CACHED)}")
    if seq_len is not None and seq_len < 1:
        raise UserError(f"--seq-len {seq_len} is not a length", "give a number of tokens")
    length = seq_len or config.max_seq_len
    counts = count_parameters(config, size)
    return {
        "model": model.name,
        "about": model.about,
        "total": counts.total,
        "active": counts.active,
        "embedding": counts.parts.embedding,
        "parts": asdict(counts.parts),
        "seq_len": length,
        "flops_per_token": flops_per_token(config, size, length),
        "generation_flops_per_token": generation_flops_per_token(config, size, length),
        "dtype": dtype,
        "kv_bytes_per_token": kv_bytes_per_token(config, int(BITS[dtype]) // 8),
        "weight_bytes": {name: int(counts.total * bits / 8) for name, bits in BITS.items()},
        "vocab_size": size,
        "config": config.model_dump(),
    }


def render_model(described: Mapping[str, Any]) -> RenderableType:
    """The description for a terminal."""
    total, active = described["total"], described["active"]
    parts = _table("", "parameters", "", "share", title=escape(described["model"]))
    for name, count in described["parts"].items():
        if count:
            parts.add_row(name, f"{count:,}", human_number(count), f"{count / total:.1%}")
    parts.add_section()
    parts.add_row("total", f"{total:,}", human_number(total), "")
    if active != total:
        parts.add_row("active", f"{active:,}", human_number(active), f"{active / total:.1%}")
    length, cache = described["seq_len"], described["kv_bytes_per_token"]
    costs = _table("", "", title=f"\na token in a sequence of {length:,}")
    costs.add_row("training", f"{human_number(described['flops_per_token'])} operations")
    costs.add_row("generating", f"{human_number(described['generation_flops_per_token'])} operations")
    whole = f" ({human_number(cache * length, 'B')} for the sequence)" if cache else ""
    costs.add_row("cache", f"{human_number(cache, 'B')} in {described['dtype']}{whole}")
    weights = _table("", "", title="\nall weights")
    for name, size in described["weight_bytes"].items():
        weights.add_row(name, human_number(size, "B"))
    about = [described["about"], ""] if described["about"] else []
    return Group(*about, parts, costs, weights)


def describe_presets() -> list[dict[str, Any]]:
    """Name and sizes of every preset."""
    return [_describe_preset(load_preset(name)) for name in preset_names()]


def _describe_preset(preset: Preset) -> dict[str, Any]:
    config, counts = preset.config, count_parameters(preset.config, preset.vocab_size)
    return {
        "model": preset.name,
        "total": counts.total,
        "active": counts.active,
        "embedding": counts.parts.embedding,
        "n_layers": config.n_layers,
        "d_model": config.d_model,
        "max_seq_len": config.max_seq_len,
        "vocab_size": preset.vocab_size,
    }


def render_presets(described: list[dict[str, Any]]) -> RenderableType:
    """All presets as a table for a terminal."""
    table = _table("preset", "parameters", "active", "embedding", "layers", "width", "context")
    for row in described:
        active = human_number(row["active"]) if row["active"] != row["total"] else ""
        shape = (f"{row[key]:,}" for key in ("n_layers", "d_model", "max_seq_len"))
        table.add_row(row["model"], human_number(row["total"]), active, human_number(row["embedding"]), *shape)
    return table


def _table(*columns: str, title: str = "") -> Table:
    """A table whose first column is of names and the others of numbers."""
    table = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.show_header = any(columns)
    for index, column in enumerate(columns):
        table.add_column(column, header_style="dim", justify="right" if index else "left", no_wrap=not index)
    return table
