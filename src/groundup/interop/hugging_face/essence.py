"""What decides the logits: a config with defaults worked out, and without what has no effect."""

import math
from typing import Any

from groundup.interop.hugging_face.rope import yarn_temperature
from groundup.model.config import ModelConfig
from groundup.model.parts import MoeConfig, RopeScaling

# Fields of the config that are copied as they are; the others are worked out below.
_COPIED = (
    *("kind", "n_layers", "d_model", "n_heads", "max_seq_len", "position", "attention_bias", "attention_output_bias"),
    *("attention_sinks", "attention_softcap", "feedforward", "feedforward_bias", "norm", "norm_eps", "residual"),
    *("residual_scale", "embedding_scale", "logit_softcap", "tie_embeddings"),
)

_SCALING_FIELDS = {
    "linear": ("factor",),
    "yarn": ("factor", "original_max_seq_len", "beta_fast", "beta_slow", "truncate"),
    "llama-3": ("factor", "original_max_seq_len", "low_freq_factor", "high_freq_factor"),
}

# Two numbers that differ by less are one to a computation in fp32.
_TOLERANCE = 1e-7


def essence(config: ModelConfig) -> dict[str, Any]:
    """Names as in the config, dotted within tables. Two configs with one essence give the same logits."""
    facts = {name: getattr(config, name) for name in _COPIED}
    facts |= {"attention_scale": config.score_scale, "logit_scale": config.output_scale}
    if config.norm == "layernorm":
        facts["norm_bias"] = config.norm_bias
    if not config.latent:
        facts |= {"n_kv_heads": config.kv_heads, "head_dim": config.head_size, "qk_norm": config.qk_norm}
    if not config.moe or config.moe.dense_layers:
        facts["d_ff"] = config.ff_width
    windows = [config.is_local(layer) for layer in range(config.n_layers)]
    facts["window"] = config.window if any(windows) else None
    facts["window_pattern"] = "".join("GL"[local] for local in windows)
    if config.position == "rope":
        facts |= _rope(config, any(windows))
    facts["latent"] = config.latent is not None
    if config.latent:
        facts |= {f"latent.{name}": value for name, value in config.latent}
    facts["moe"] = config.moe is not None
    if config.moe:
        facts |= _moe(config.moe, config.ff_width)
    return facts


def differences(wanted: dict[str, Any], given: dict[str, Any]) -> list[str]:
    """Names of what is not the same."""
    return [name for name in wanted if name not in given or not _equal(wanted[name], given[name])]


def _rope(config: ModelConfig, has_windows: bool) -> dict[str, Any]:
    theta, scaling = config.rope_theta, config.rope_scaling
    if scaling and scaling.method == "ntk":  # a larger base (bloc97 2023), and nothing else
        size = config.rotary_size
        theta, scaling = theta * scaling.factor ** (size / (size - 2)), None
    local = config.rope_local_theta if has_windows else 0.0
    if scaling is None and local and _equal(local, theta):
        local = 0.0
    return {
        "rope_theta": theta,
        "rope_local_theta": local,
        "rope_pairing": config.rope_pairing,
        "rope_fraction": 1.0 if config.latent else config.rope_fraction,
        **_scaling(scaling),
    }


def _scaling(scaling: RopeScaling | None) -> dict[str, Any]:
    if scaling is None:
        return {"rope_scaling.method": None}
    facts: dict[str, Any] = {"rope_scaling.method": scaling.method}
    facts |= {f"rope_scaling.{name}": getattr(scaling, name) for name in _SCALING_FIELDS[scaling.method]}
    if scaling.method == "yarn":
        facts["rope_scaling.temperature"] = yarn_temperature(scaling)
    return facts


def _moe(moe: MoeConfig, ff_width: int) -> dict[str, Any]:
    names = ("n_experts", "top_k", "n_shared", "dense_layers", "scoring", "normalize_top_k", "routed_scale")
    facts = {f"moe.{name}": getattr(moe, name) for name in names}
    facts["moe.d_expert"] = moe.d_expert or ff_width
    grouped = moe.n_groups > moe.top_groups  # if all groups are taken, there are none
    facts["moe.n_groups"] = moe.n_groups if grouped else 1
    facts["moe.top_groups"] = moe.top_groups if grouped else 1
    # DeepSeek-V3's router has a bias in every case, which may be zero; a softmax router of others has none.
    facts["moe.balance"] = "bias" if moe.balance == "bias" or moe.scoring == "sigmoid" else "any"
    return facts


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) or isinstance(other, float):
        return one is not None and other is not None and math.isclose(one, other, rel_tol=_TOLERANCE)
    return one == other
