"""Write docs/recipe.md from the schema of recipes, so that help and docs cannot differ from the code."""

import inspect
import json
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic.fields import FieldInfo

from groundup.core.config import Config
from groundup.pipeline.recipe import Recipe

PAGE = Path(__file__).parents[1] / "docs/recipe.md"
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


def main() -> int:
    """Write the page; with --check, only say whether it is up to date."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(recipe_page(), encoding="utf-8")
        return 0
    fresh = PAGE.exists() and PAGE.read_text(encoding="utf-8") == recipe_page()
    print(f"{PAGE} is " + ("up to date" if fresh else "stale: run python tools/write_docs.py"))
    return 0 if fresh else 1


if __name__ == "__main__":
    sys.exit(main())
