"""From a TOML file and command-line overrides to a recipe."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groundup.core.errors import UserError
from groundup.model.preset import put_preset
from groundup.pipeline.mistakes import read_toml, validate
from groundup.pipeline.recipe import Recipe


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe; `overrides` are the words `--table.key value` (or `--table.key=value`) of a command line.

    Raises UserError with one line for each mistake (`mistakes.validate`).
    """
    if path.is_dir():
        path = path / "recipe.toml"
    source, values = read_toml(path, "write a recipe with `groundup new DIR --data FOLDER`")
    given = parse_overrides(overrides)
    _resolve_paths(values, path.parent.resolve())
    overridden = _apply(values, given)
    _resolve_paths(values, Path.cwd())
    return validate(Recipe, values, path, source, overridden)


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
    """Put overrides into the tables; a budget that is given replaces the one in the file. Returns their paths.

    `--model NAME` comes before `--model.key`, in whatever order they stand.
    """
    if isinstance(values.get("model"), str):
        values["model"] = {"preset": values["model"]}
    for path, value in sorted(overrides.items(), key=lambda item: len(item[0])):
        if path == ("model",) and isinstance(value, str):
            value = put_preset(values.get("model"), value)
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
