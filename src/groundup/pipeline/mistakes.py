"""Values of a TOML file against their schema: every mistake told at once, in its place, with the nearest valid key."""

import difflib
import json
import tomllib
import types
import typing
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from groundup.core.config import Config
from groundup.core.errors import UserError
from groundup.model.config import ModelConfig
from groundup.pipeline import locations
from groundup.pipeline.recipe import UNKNOWN_PRESET

Schema = TypeVar("Schema", bound=Config)


def read_toml(path: Path, hint: str) -> tuple[str, dict[str, Any]]:
    """Text and values of a TOML file. Raises UserError, with that hint if it is not there."""
    try:
        source = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path} does not exist", hint) from None
    except (UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path} cannot be read: {error}", "give a TOML file in UTF-8") from None
    try:
        return source, tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not valid TOML: {error}", "put that line right") from None


def validate(
    schema: type[Schema],
    values: dict[str, Any],
    path: Path,
    source: str,
    overridden: Collection[tuple[str, ...]] = (),
) -> Schema:
    """`values`, read from `source` at `path` but for those that a command line gave, as an instance of `schema`.

    Raises UserError with one line for each mistake: file, line, column, key, what is wrong, the nearest valid key.
    """
    try:
        return schema.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        places = locations.locate(source)
        details = sorted(_causes(error), key=lambda detail: locations.nearest_position(places, detail["loc"]) or (0, 0))
        lines = [_describe(schema, detail, path, places, overridden) for detail in details]
        raise UserError("\n".join(lines), "put these right" if len(lines) > 1 else "put this right") from None


def _causes(error: ValidationError) -> list[ErrorDetails]:
    """Errors but for those of a table or list that follow from an error inside it."""
    details = error.errors()
    return [
        d
        for d in details
        if not any(len(o["loc"]) > len(d["loc"]) and o["loc"][: len(d["loc"])] == d["loc"] for o in details)
    ]


def _describe(
    schema: type[Config],
    error: ErrorDetails,
    path: Path,
    places: dict[locations.Path, locations.Position],
    overridden: Collection[tuple[str, ...]],
) -> str:
    loc = error["loc"]
    if error["type"] == UNKNOWN_PRESET and loc not in overridden:
        loc = (*loc, "preset")
    name = ".".join(map(str, loc)) or "recipe"
    if loc in overridden:
        where = "command line: --"
    else:
        line, column = locations.nearest_position(places, loc) or (1, 1)
        where = f"{path}:{line}:{column}: "
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        valid = _valid_keys(schema, loc[:-1])
        near = difflib.get_close_matches(str(loc[-1]), valid, n=1, cutoff=0.5)
        message = "unknown key" + (f"; did you mean {near[0]!r}?" if near else f"; valid: {', '.join(valid)}")
    elif error["type"] == "missing":
        message = "is required and missing"
    elif error["type"] != UNKNOWN_PRESET and "input" in error and not isinstance(error["input"], dict):
        message = f"{message[0].lower()}{message[1:]}, not {error['input']!r}"
    return f"{where}{name}: {message}"


def _valid_keys(schema: type[BaseModel] | None, loc: Sequence[str | int]) -> list[str]:
    """Keys of the table at `loc`."""
    for key in loc:
        if isinstance(key, str):
            field = schema.model_fields.get(key) if schema else None
            schema = _table_type(field.annotation) if field else None
    names = list(schema.model_fields) if schema else []
    return [*names, "preset"] if schema is ModelConfig else names


def _table_type(annotation: Any) -> type[BaseModel] | None:
    """The table inside Table, Table | None or tuple[Table, ...]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (types.UnionType, typing.Union, tuple):
        return next(filter(None, map(_table_type, typing.get_args(annotation))), None)
    return None
