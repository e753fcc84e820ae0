"""From a TOML file and command-line overrides to a recipe, with every mistake told at once and in its place."""

import difflib
import json
import tomllib
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from groundup.core.errors import UserError
from groundup.pipeline import locations
from groundup.pipeline.recipe import Recipe


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe; `overrides` are the words `--table.key value` (or `--table.key=value`) of a command line.

    Raises UserError with one line for each mistake: file, line, column, key, what is wrong, the nearest valid key.
    """
    if path.is_dir():
        path = path / "recipe.toml"
    try:
        source = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path} does not exist", "write a recipe with `groundup new DIR --data FOLDER`") from None
    except (UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path} cannot be read: {error}", "a recipe is a TOML file in UTF-8") from None
    try:
        values = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not valid TOML: {error}", "put that line right") from None
    given = parse_overrides(overrides)
    _resolve_paths(values, path.parent.resolve())
    overridden = _apply(values, given)
    _resolve_paths(values, Path.cwd())
    try:
        return Recipe.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        places = locations.locate(source)
        details = sorted(_causes(error), key=lambda detail: locations.nearest_position(places, detail["loc"]) or (0, 0))
        lines = [_describe(detail, path, places, overridden) for detail in details]
        raise UserError("\n".join(lines), "put these right" if len(lines) > 1 else "put this right") from None


def _causes(error: ValidationError) -> list[ErrorDetails]:
    """Errors but for those of a table or list that follow from an error inside it."""
    details = error.errors()
    return [
        d
        for d in details
        if not any(len(o["loc"]) > len(d["loc"]) and o["loc"][: len(d["loc"])] == d["loc"] for o in details)
    ]


def parse_overrides(words: Sequence[str]) -> dict[tuple[str, ...], Any]:
    """`--pretrain.lr 3e-4 --model.d_model=384` as {("pretrain", "lr"): 3e-4, ("model", "d_model"): 384}.

    Dashes in names count as underscores. Values are TOML; what is not valid TOML is a string.
    """
    found: dict[tuple[str, ...], Any] = {}
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("--") or word == "--":
            raise UserError(f"unexpected argument {word!r}", "overrides look like --pretrain.lr 3e-4")
        name, equals, value = word[2:].partition("=")
        if not equals:
            if not waiting:
                raise UserError(f"{word} needs a value", "overrides look like --pretrain.lr 3e-4")
            value = waiting.pop(0)
        found[tuple(name.replace("-", "_").split("."))] = _parse_value(value)
    return found


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _apply(values: dict[str, Any], overrides: dict[tuple[str, ...], Any]) -> set[tuple[str, ...]]:
    """Put overrides into the tables; a budget that is given replaces the one in the file. Returns their paths."""
    for path, value in overrides.items():
        table = values
        for key in path[:-1]:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise UserError(f"--{'.'.join(path)}: {key} is not a table", "see `groundup build --help`")
        for other in _alternatives(path):
            table.pop(other, None)
        table[path[-1]] = value
    return set(overrides)


def _resolve_paths(values: dict[str, Any], base: Path) -> None:
    """Make relative paths of files absolute: those in a recipe start from its folder."""
    sft, data = values.get("sft"), values.get("data")
    conversations = sft.get("conversations") if isinstance(sft, dict) else None
    sources = data.get("sources") if isinstance(data, dict) else None
    tables = [values.get("tokenizer"), conversations, *(sources if isinstance(sources, list) else [])]
    for table in (table for table in tables if isinstance(table, dict)):
        for key in ("path", "compare_with"):
            value = table.get(key)
            if value and isinstance(value, str) and not value.startswith(("pypi:", "hf:", "~")):
                table[key] = str(base / value)


def _alternatives(path: tuple[str, ...]) -> tuple[str, ...]:
    from groundup.train.config import BUDGETS

    return BUDGETS if path[0] in ("pretrain", "sft") and path[-1] in BUDGETS else ()


def _describe(
    error: ErrorDetails, path: Path, places: dict[locations.Path, locations.Position], overridden: set
) -> str:
    loc = error["loc"]
    name = ".".join(map(str, loc)) or "recipe"
    if loc in overridden:
        where = "command line: --"
    else:
        line, column = locations.nearest_position(places, loc) or (1, 1)
        where = f"{path}:{line}:{column}: "
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(loc[-1]), _valid_keys(loc[:-1]), n=1, cutoff=0.5)
        message = "unknown key" + (
            f"; did you mean {near[0]!r}?" if near else f"; valid: {', '.join(_valid_keys(loc[:-1]))}"
        )
    elif error["type"] == "missing":
        message = "is required and missing"
    elif "input" in error and not isinstance(error["input"], dict):
        message = f"{message[0].lower()}{message[1:]}, not {error['input']!r}"
    return f"{where}{name}: {message}"


def _valid_keys(loc: Sequence[str | int]) -> list[str]:
    """Keys of the table at `loc` of a recipe."""
    model: Any = Recipe
    for key in loc:
        if isinstance(key, str):
            field = model.model_fields.get(key) if model else None
            model = _table_type(field.annotation) if field else None
    return list(model.model_fields) if model else []


def _table_type(annotation: Any) -> type[BaseModel] | None:
    """The table inside Table, Table | None or tuple[Table, ...]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (types.UnionType, typing.Union, tuple):
        return next(filter(None, map(_table_type, typing.get_args(annotation))), None)
    return None
