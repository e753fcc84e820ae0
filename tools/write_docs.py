"""Write docs/recipe.md from the schema of recipes, and what docs/models.md says of presets from their files, so that
help and docs cannot differ from the code."""

import inspect
import json
import re
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic.fields import FieldInfo

from groundup.core.config import Config
from groundup.model.config import ModelConfig
from groundup.model.count import count_parameters
from groundup.model.preset import Preset, load_preset, preset_names
from groundup.pipeline.recipe import Recipe

DOCS = Path(__file__).parents[1] / "docs"
HEAD = """# The recipe: every key

<!-- Written by `python tools/write_docs.py` from the schema; change the docstrings there, not this page. -->

A recipe is one TOML file. A key that is left out has its default; an unknown key or a value outside its bounds is an
error that names file, line and the nearest valid key. Any key may be given on the command line instead
(`groundup build recipe.toml --pretrain.lr 3e-4`). Relative paths start from the folder of the recipe. What a finished
run was built with, defaults included, is in its `recipe.json`.
"""
BOUNDS = {
    "gt": "> {:,}",
    "ge": "≥ {:,}",
    "lt": "< {:,}",
    "le": "≤ {:,}",
    "min_length": "length ≥ {}",
    "pattern": "of the form `{}`",
}
"""Constraints on a field, as pydantic keeps them, and how the page writes each."""

TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}


def recipe_page() -> str:
    """The page as Markdown."""
    return HEAD + "".join(_sections(Recipe, "", Recipe.model_fields["name"], {}))


def _sections(table: type[Config], path: str, field: FieldInfo, seen: dict[type[Config], str]) -> Iterator[str]:
    """A table's own section, then those of the tables inside it."""
    base = next((c for c in table.__mro__[1:] if c in seen), None)
    fields = {n: f for n, f in table.model_fields.items() if base is None or n not in base.model_fields}
    yield _heading(table, path, field)
    keys = {name: f for name, f in fields.items() if _table_of(f.annotation) is None}
    if base:
        yield f"\nIt has every key of `[{seen[base]}]`" + (", and:\n" if keys else ", and the table that follows.\n")
    if keys:
        yield "\n| key | type | default | meaning |\n|---|---|---|---|\n"
        yield from (_line(name, f) for name, f in keys.items())
    seen[table] = path
    for name, inner in fields.items():
        if found := _table_of(inner.annotation):
            yield from _sections(found, f"{path}.{name}".lstrip("."), inner, seen)


def _heading(table: type[Config], path: str, field: FieldInfo) -> str:
    if not path:
        return "\n## At the top\n"
    many = typing.get_origin(field.annotation) is tuple
    presence = "Required." if field.is_required() else "May be left out."
    about = inspect.cleandoc(table.__doc__ or "")
    return f"\n## `[{'[' * many}{path}]{']' * many}`\n\n{presence} {field.description}\n\n{about}\n"


def _line(name: str, field: FieldInfo) -> str:
    bounds = [
        words.format(value)
        for metadata in field.metadata
        for key, words in BOUNDS.items()
        if (value := getattr(metadata, key, None)) is not None
    ]
    kind = ", ".join([_type_name(field.annotation), *bounds])
    if field.is_required():
        default = "required"
    elif field.default is None:
        default = "none"
    else:
        default = f"`{json.dumps(field.default, ensure_ascii=False)}`"
    cells = [f"`{name}`", kind, default, " ".join((field.description or "").split())]
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |\n"


def _type_name(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{json.dumps(choice)}`" for choice in arguments)
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}s"
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_type_name(a) for a in arguments if a is not types.NoneType)
    return TYPES[annotation]


def _table_of(annotation: Any) -> type[Config] | None:
    """The table inside Table, Table | None or tuple[Table, ...]; None for anything else."""
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, Config) else None
    return next(filter(None, map(_table_of, typing.get_args(annotation))), None)


SIZES = ("n_layers", "d_model", "n_heads", "head_dim", "d_ff", "max_seq_len")
BEGINNINGS = ("init", "init_std", "zero_init_output")
TABLE = re.compile(r"(<!-- presets: [^\n]*-->\n).*?(<!-- end -->\n)", re.DOTALL)
STEP = re.compile(r"(<!-- from (\S+) to (\S+) -->\n)(?:```toml\n.*?```\n)?", re.DOTALL)
"""Places on the page of models that this program writes."""


def models_page() -> str:
    """The page of models as Markdown: as it is, with its tables and blocks of differences made anew."""
    page = (DOCS / "models.md").read_text(encoding="utf-8")
    page = TABLE.sub(lambda found: found[1] + "".join(_preset_lines()) + found[2], page)
    return STEP.sub(lambda found: found[1] + _difference(load_preset(found[2]), load_preset(found[3])), page)


def _preset_lines() -> Iterator[str]:
    yield "\n| preset | parameters | active | layers | width | heads (of keys) | context | parts |\n"
    yield "|---|--:|--:|--:|--:|--:|--:|---|\n"
    for preset in map(load_preset, preset_names()):
        config, counts = preset.config, count_parameters(preset.config, preset.vocab_size)
        total = f"{counts.total:,}"
        if not preset.is_whole:
            yield f"| `{preset.name}` | of its sizes | | | | | | {config.kind} cells |\n"
            continue
        active = f"{counts.active:,}" if counts.active != counts.total else ""
        heads = f"{config.n_heads}" + (f" ({config.kv_heads})" if config.kv_heads != config.n_heads else "")
        cells = (f"`{preset.name}`", total, active, f"{config.n_layers}", f"{config.d_model:,}", heads)
        yield "| " + " | ".join((*cells, f"{config.max_seq_len:,}", ", ".join(_parts(config)))) + " |\n"
    yield "\n"


def _parts(config: ModelConfig) -> Iterator[str]:
    """What a model is made of, in the names of its config."""
    yield config.position + (f" ({config.rope_scaling.method})" if config.rope_scaling else "")
    if config.latent:
        yield "latent attention"
    if config.window:
        yield f"window {config.window} ({config.window_pattern})"
    if config.qk_norm:
        yield "qk_norm"
    if config.attention_bias:
        yield "biases" if config.feedforward_bias else "attention_bias"
    if config.moe:
        shared = f" + {config.moe.n_shared} shared" if config.moe.n_shared else ""
        yield f"{config.moe.top_k} of {config.moe.n_experts} experts{shared}"
    yield from (config.feedforward, config.norm + ("" if config.residual == "pre" else f" ({config.residual})"))


def _difference(before: Preset, after: Preset) -> str:
    """The lines of `[model]` that turn one model into the other, but for sizes and initialization."""
    was, now = (_flat(preset.config.model_dump()) for preset in (before, after))
    written = _flat(after.table)
    lines = []
    for key in (*now, *(key for key in was if key not in now)):
        table = key.partition(".")[0]
        if key in (*SIZES, *BEGINNINGS) or was.get(key) == now.get(key):
            continue
        if now.get(key) is None:
            lines.append(f"# no {table}")
        elif key in written or was.get(key) is not None:  # not what a table that is new leaves at its default
            lines.append(f"{key} = {json.dumps(now[key])}")
    return "```toml\n" + "".join(f"{line}\n" for line in dict.fromkeys(lines)) + "```\n"


def _flat(values: typing.Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Keys of tables inside as `table.key`."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        inner = isinstance(value, dict)
        found |= _flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return found


PAGES = {"recipe.md": recipe_page, "models.md": models_page}


def main() -> int:
    """Write the pages; with --check, only say whether they are up to date."""
    stale = False
    for name, write in PAGES.items():
        path, text = DOCS / name, write()
        fresh = path.exists() and path.read_text(encoding="utf-8") == text
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
        else:
            print(f"{path} is " + ("up to date" if fresh else "stale: run python tools/write_docs.py"))
            stale |= not fresh
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
