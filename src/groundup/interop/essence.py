"""What decides the logits: a config with defaults worked out, and without what has no effect."""

import math
from collections.abc import Iterable
from typing import Any

from groundup.model.config import ModelConfig
from groundup.model.parts import MoeConfig
from groundup.model.position.rope_scaling import scaled_frequencies, temperature

# Fields of the config that are taken as they are; the others are worked out below.
_COPIED = (
    *("kind", "n_layers", "d_model", "n_heads", "max_seq_len", "position", "attention_bias", "attention_output_bias"),
    *("attention_sinks", "attention_softcap", "feedforward", "feedforward_bias", "norm", "norm_eps", "residual"),
    *("residual_scale", "embedding_scale", "logit_softcap", "tie_embeddings"),
)
_EXPERTS = ("n_experts", "top_k", "n_shared", "dense_layers", "scoring", "normalize_top_k", "routed_scale")

# Numbers that differ by less are one to a computation in fp32.
_TOLERANCE = 2**-23


def essence(config: ModelConfig) -> dict[str, Any]:
    """Names as in the config, dotted within tables. Two configs with one essence give the same logits."""
    facts = {name: getattr(config, name) for name in _COPIED}
    facts |= {"attention_scale": config.score_scale, "logit_scale": config.output_scale}
    if config.norm == "layernorm":
        facts["norm_bias"] = config.norm_bias
    if not config.latent:
        facts |= {"n_kv_heads": config.kv_heads, "head_dim": config.head_size, "qk_norm": config.qk_norm}
    if not all(map(config.has_experts, range(config.n_layers))):
        facts["d_ff"] = config.ff_width
    local = "".join("GL"[config.is_local(layer)] for layer in range(config.n_layers))
    has_window = "L" in local and (config.window or 0) < config.max_seq_len
    facts["window"] = config.window if has_window else None
    if has_window:
        facts["window_pattern"] = local
    if config.position == "rope":
        facts |= _rope(config, has_window)
    facts["latent"] = config.latent is not None
    if config.latent:
        facts |= {f"latent.{name}": value for name, value in config.latent}
    facts["moe"] = config.moe is not None
    return facts | (_moe(config.moe, config.ff_width) if config.moe else {})


def differences(wanted: dict[str, Any], given: dict[str, Any]) -> list[str]:
    """Names of what is not the same; of a part that is not there at all, the part's name alone."""
    lost = [name for name, value in wanted.items() if name not in given or not _equal(value, given[name])]
    return [name for name in lost if "." not in name or name.partition(".")[0] not in lost]


def told(facts: dict[str, Any], names: Iterable[str]) -> str:
    """Names with their values, where they are facts of the model and short."""
    shown = {name: value for name, value in facts.items() if not isinstance(value, tuple)}
    return ", ".join(f"{name} = {shown[name]}" if name in shown else name for name in names)


def _rope(config: ModelConfig, has_window: bool) -> dict[str, Any]:
    """Frequencies themselves: there is more than one way to say the same."""
    rotation = (
        temperature(config.rope_scaling),
        *scaled_frequencies(config.rotary_size, config.rope_theta, config.rope_scaling).tolist(),
    )
    facts: dict[str, Any] = {"rope_pairing": config.rope_pairing, "rope_theta and rope_scaling": rotation}
    if not config.latent:
        facts["rope_fraction"] = config.rotary_size / config.head_size
    if has_window:
        theta = config.rope_local_theta
        local = (1.0, *scaled_frequencies(config.rotary_size, theta, None).tolist()) if theta else rotation
        facts["rope_local_theta"] = local
    return facts


def _moe(moe: MoeConfig, ff_width: int) -> dict[str, Any]:
    facts = {f"moe.{name}": getattr(moe, name) for name in _EXPERTS}
    facts["moe.d_expert"] = moe.d_expert or ff_width
    grouped = moe.n_groups > moe.top_groups  # if all groups are taken, there are none
    facts["moe.n_groups"] = moe.n_groups if grouped else 1
    facts["moe.top_groups"] = moe.top_groups if grouped else 1
    # DeepSeek-V3's router has a bias in every case, which may be zero; a softmax router of others has none.
    facts["moe.balance"] = "bias" if moe.balance == "bias" or moe.scoring == "sigmoid" else "any"
    return facts


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=_TOLERANCE)
    return one == other
