"""Rotary positions in a config.json, in the spelling of transformers 4 and in that of 5."""

import math
from dataclasses import dataclass
from typing import Any

from groundup.interop.hugging_face.keys import Keys
from groundup.model.parts import RopeScaling
from groundup.model.position.rope_scaling import temperature as rope_temperature

_DEFAULT_THETA = 10_000.0


@dataclass(frozen=True)
class RotaryKeys:
    """What a config.json says of rotary positions."""

    theta: float
    scaling: RopeScaling | None
    score_factor: float = 1.0
    """Factor of attention logits beside the temperature; DeepSeek's models have one."""


def read_rope(keys: Keys, max_seq_len: int, default_theta: float = _DEFAULT_THETA) -> RotaryKeys:
    """`rope_theta` and `rope_scaling`, or `rope_parameters`; the former wins, as in transformers."""
    outer_theta = keys.number("rope_theta", default_theta)
    keys.only("partial_rotary_factor", 1.0, 1)
    old, new = keys.table("rope_scaling"), keys.table("rope_parameters")
    table = old or new
    if table is None:
        return RotaryKeys(outer_theta, None)
    return read_rope_table(table, max_seq_len, outer_theta)


def read_rope_table(table: Keys, max_seq_len: int, default_theta: float) -> RotaryKeys:
    """One table of rotary parameters."""
    theta = table.number("rope_theta", default_theta)
    table.only("partial_rotary_factor", 1.0, 1)
    table.ignore("type" if table.has("rope_type") else "rope_type")
    name = "rope_type" if table.has("rope_type") else "type"
    methods: dict[str, Any] = {"default": None, "linear": "linear", "yarn": "yarn", "llama3": "llama-3"}
    method = table.choice(name, methods, "default")
    score_factor = 1.0
    scaling = None
    if method == "linear":
        scaling = RopeScaling(method="linear", factor=_factor(table))
    elif method == "yarn":
        scaling, score_factor = _read_yarn(table, max_seq_len)
    elif method == "llama-3":
        scaling = _read_llama3(table, max_seq_len)
    table.close()
    return RotaryKeys(theta, scaling, score_factor)


def write_rope(theta: float, scaling: RopeScaling | None, head_size: int, score_factor: float = 1.0) -> dict[str, Any]:
    """The keys in the spelling of transformers 4, which 5 and all other programs read too.

    NTK-aware scaling is a larger base (bloc97 2023), and is written as one.
    """
    if scaling is not None and scaling.method == "ntk":
        theta, scaling = theta * scaling.factor ** (head_size / (head_size - 2)), None
    return {"rope_theta": theta, "rope_scaling": _table(scaling, score_factor) if scaling else None}


def _read_yarn(table: Keys, max_seq_len: int) -> tuple[RopeScaling, float]:
    original = table.integer("original_max_position_embeddings", max_seq_len)
    factor = _factor(table, max_seq_len / original)
    mscale, mscale_all = table.any_number("mscale", 0.0), table.any_number("mscale_all_dim", 0.0)
    inferred = _mscale(factor, mscale) / _mscale(factor, mscale_all) if mscale and mscale_all else _mscale(factor, 1.0)
    table.ignore("finetuned")
    scaling = RopeScaling(
        method="yarn",
        factor=factor,
        original_max_seq_len=original,
        beta_fast=table.number("beta_fast", 32.0),
        beta_slow=table.number("beta_slow", 1.0),
        truncate=table.flag("truncate", True),
        temperature=table.number("attention_factor", inferred),
    )
    return scaling, _mscale(factor, mscale_all) ** 2 if mscale_all else 1.0


def _read_llama3(table: Keys, max_seq_len: int) -> RopeScaling:
    return RopeScaling(
        method="llama-3",
        factor=_factor(table),
        original_max_seq_len=table.integer("original_max_position_embeddings", max_seq_len),
        low_freq_factor=table.number("low_freq_factor"),
        high_freq_factor=table.number("high_freq_factor"),
    )


def _factor(table: Keys, default: float | None = None) -> float:
    return table.number("factor") if default is None else table.number("factor", default)


def _mscale(factor: float, scale: float) -> float:
    return 0.1 * scale * math.log(factor) + 1.0


def _table(scaling: RopeScaling, score_factor: float) -> dict[str, Any]:
    if scaling.method == "linear":
        return {"rope_type": "linear", "factor": scaling.factor}
    table = {"factor": scaling.factor, "original_max_position_embeddings": scaling.original_max_seq_len}
    if scaling.method == "llama-3":
        return table | {
            "rope_type": "llama3",
            "low_freq_factor": scaling.low_freq_factor,
            "high_freq_factor": scaling.high_freq_factor,
        }
    table |= {"rope_type": "yarn", "beta_fast": scaling.beta_fast, "beta_slow": scaling.beta_slow}
    if not scaling.truncate:
        table["truncate"] = False
    return table | _mscales(scaling, score_factor)


def _mscales(scaling: RopeScaling, score_factor: float) -> dict[str, float]:
    """Temperature and factor of logits; as the two numbers of DeepSeek's config where there is such a factor."""
    temperature, depth = rope_temperature(scaling), 0.1 * math.log(scaling.factor)
    if math.isclose(score_factor, 1.0) or not depth:
        usual = math.isclose(temperature, _mscale(scaling.factor, 1.0))
        return {} if usual else {"attention_factor": temperature}
    root = math.sqrt(score_factor)
    mscale, mscale_all = (round((value - 1) / depth, 12) for value in (temperature * root, root))
    return {"mscale_all_dim": mscale_all} | ({"mscale": mscale} if mscale else {"attention_factor": temperature})
