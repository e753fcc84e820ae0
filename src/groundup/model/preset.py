"""Models that have a name: the TOML files in `presets/`, read without their weights or torch."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from groundup.core.errors import UserError
from groundup.model.config import ModelConfig

_FOLDER = files("groundup.model") / "presets"
_SUFFIX = ".toml"


@dataclass(frozen=True)
class Preset:
    """A model that was published, or a baseline."""

    name: str
    about: str
    """What it is, where its values are from, and the license of its weights."""
    vocab_size: int
    """Of the published model; one that is trained here takes that of its own tokenizer."""
    table: Mapping[str, Any]
    """Keys of ModelConfig, as written."""

    @property
    def config(self) -> ModelConfig:
        """The keys, and the defaults of all others."""
        return ModelConfig.model_validate(self.table)

    @property
    def is_whole(self) -> bool:
        """Whether it says of what size a model is; rnn, lstm and gru do not."""
        return "d_model" in self.table


def preset_names() -> list[str]:
    """Names of all presets, in alphabetical order."""
    return sorted(file.name.removesuffix(_SUFFIX) for file in _FOLDER.iterdir() if file.name.endswith(_SUFFIX))


def load_preset(name: str) -> Preset:
    """The preset of that name. Raises UserError with the nearest name if there is none."""
    if name not in preset_names():
        raise UserError(f"no preset is called {name!r}{_nearest(name)}", "`groundup params` lists them all")
    source = (_FOLDER / f"{name}{_SUFFIX}").read_text(encoding="utf-8")
    values = tomllib.loads(source)
    return Preset(name, _leading_comment(source), values["vocab_size"], values["model"])


def resolve_preset(table: Any) -> Any:
    """A `[model]` table as a recipe holds it, with the keys of its preset filled in.

    `"gpt2"` is all of GPT-2; `{"preset": "gpt2", "n_layers": 3}` is GPT-2 with three layers: keys that are given win,
    inside tables too. What names no preset is left as it is. Raises UserError for an unknown one.
    """
    if isinstance(table, str):
        table = {"preset": table}
    if not isinstance(table, dict) or "preset" not in table:
        return table
    given = {key: value for key, value in table.items() if key != "preset"}
    return _merge(load_preset(table["preset"]).table, given)


def put_preset(table: Any, name: str) -> dict[str, Any]:
    """A preset in the place of a `[model]` table, as `--model NAME` on a command line puts it there.

    One without sizes of its own (rnn, lstm, gru) keeps those of the table, and whatever else it does not say.
    """
    if not isinstance(table, dict) or name not in preset_names() or load_preset(name).is_whole:
        return {"preset": name}
    return {**table, **load_preset(name).table}


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of both; where both have one, that of `over`."""
    merged = dict(under)
    for key, value in over.items():
        inner = merged.get(key)
        merged[key] = _merge(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(str(name).lower(), preset_names(), n=1, cutoff=0.4)
    return f"; did you mean {near[0]!r}?" if near else ""


def _leading_comment(source: str) -> str:
    lines = source.splitlines()
    length = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    return " ".join(line.removeprefix("#").strip() for line in lines[:length])
