"""The architectures of GGUF that are supported, and which of them a model is written as."""

import math
from typing import Any

import torch
from torch import Tensor

from groundup.core.errors import UserError
from groundup.interop.gguf.architecture import Architecture
from groundup.interop.gguf.deepseek2 import DEEPSEEK2
from groundup.interop.gguf.dense import LLAMA, QWEN2, QWEN3, QWEN3_MOE
from groundup.interop.gguf.gemma import GEMMA2, GEMMA3
from groundup.interop.gguf.gpt2 import GPT2
from groundup.interop.gguf.links import links_of, to_file
from groundup.interop.gguf.rope import frequency_factors
from groundup.interop.gguf.values import Values
from groundup.model.build import build_model
from groundup.model.config import ModelConfig
from groundup.model.position.rope_scaling import scaled_frequencies, temperature
from groundup.model.store import weights

# Where two express a model, the first is taken: it is the one of whose family such models are.
ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (QWEN3, QWEN3_MOE, QWEN2, LLAMA, GEMMA2, GEMMA3, GPT2, DEEPSEEK2)
}

_CLOSE = 1e-6  # relative: numbers are stored in fp32
_NEAREST = 2

_PLAIN = (
    "kind", "n_layers", "d_model", "n_heads", "max_seq_len", "position", "latent", "feedforward", "norm", "norm_eps",
    "residual", "residual_scale", "embedding_scale", "logit_softcap", "tie_embeddings", "attention_softcap",
    "attention_output_bias", "attention_sinks", "feedforward_bias",
)  # fmt: skip
_EXPERTS = (
    "n_experts", "top_k", "n_shared", "dense_layers", "scoring", "normalize_top_k", "routed_scale", "n_groups",
)  # fmt: skip


def architecture_named(name: str, source: str) -> Architecture:
    """The architecture of a file. Raises UserError, with those that there are, if it is not supported."""
    if name not in ARCHITECTURES:
        raise UserError(
            f"{source} holds a model of architecture '{name}', which is not supported",
            f"supported are {', '.join(sorted(ARCHITECTURES))}",
        )
    return ARCHITECTURES[name]


def choose_architecture(config: ModelConfig) -> Architecture:
    """The architecture that computes exactly what the config says.

    Raises UserError, with what stands in the way in the nearest ones, if there is none.
    """
    if config.kind != "transformer":
        raise UserError(f"llama.cpp has no architecture for a model of kind {config.kind}", "export a transformer")
    with torch.device("meta"):
        own = weights(build_model(config, 1))
    in_the_way: dict[str, list[str]] = {}
    for name, architecture in ARCHITECTURES.items():
        in_the_way[name] = _obstacles(config, own, architecture)
        if not in_the_way[name]:
            return architecture
    nearest = sorted(in_the_way, key=lambda name: len(in_the_way[name]))[:_NEAREST]
    reasons = "; ".join(f"{name}: {', '.join(in_the_way[name])}" for name in nearest)
    raise UserError(f"no architecture of llama.cpp computes this model; in the way of {reasons}", "export it as hf")


def _obstacles(config: ModelConfig, own: dict[str, Tensor], architecture: Architecture) -> list[str]:
    """What of the config the architecture does not keep, in words; empty if it computes the same."""
    names = frozenset(name for name, _ in to_file(links_of(own, config, architecture), own))
    factors = frequency_factors(config) if architecture.has_factors else None
    values = Values("the model", architecture.name, architecture.metadata(config), factors)
    try:
        kept = _meaning(architecture.config(values, names))
    except UserError as error:
        return [error.message]
    return [f"{name} {_shown(value)}" for name, value in _meaning(config).items() if not _same(value, kept[name])]


def _meaning(config: ModelConfig) -> dict[str, Any]:
    """All of a config of a Transformer that decides what it computes, with defaults worked out."""
    local = [config.is_local(layer) for layer in range(config.n_layers)]
    attends = config.latent is None
    turns = config.position == "rope"
    said = {name: getattr(config, name) for name in _PLAIN} | {
        "n_kv_heads": config.kv_heads if attends else 0,
        "head_dim": config.head_size if attends else 0,
        "d_ff": config.ff_width if any(not config.has_experts(layer) for layer in range(config.n_layers)) else 0,
        "qk_norm": config.qk_norm and attends,
        "attention_bias": config.attention_bias,
        "attention_scale": config.score_scale,
        "norm_bias": config.norm_bias and config.norm == "layernorm",
        "logit_scale": config.output_scale,
        "rope_fraction": config.rotary_size / config.head_size if turns and attends else 1.0,
        "rope_pairing": config.rope_pairing if turns and not attends else "",
        "rope_theta and rope_scaling": _rotation(config) if turns else (),
        "window": config.window if any(local) and (config.window or 0) < config.max_seq_len else 0,
    }
    said["window_pattern"] = "".join("GL"[is_local] for is_local in local) if said["window"] else ""
    said["rope_local_theta"] = _local_rotation(config) if turns and said["window"] else ()
    return said | _meaning_of_experts(config)


def _meaning_of_experts(config: ModelConfig) -> dict[str, Any]:
    moe = config.moe
    said = {f"moe.{name}": getattr(moe, name) if moe else 0 for name in _EXPERTS}
    return said | {
        "moe.d_expert": (moe.d_expert or config.ff_width) if moe else 0,
        "moe.top_groups": moe.top_groups if moe and moe.n_groups > 1 else 0,
        "moe.balance = bias": bool(moe and moe.balance == "bias"),
    }


def _rotation(config: ModelConfig) -> tuple[float, ...]:
    frequencies = scaled_frequencies(config.rotary_size, config.rope_theta, config.rope_scaling)
    return (temperature(config.rope_scaling), *frequencies.tolist())


def _local_rotation(config: ModelConfig) -> tuple[float, ...]:
    if not config.rope_local_theta:
        return _rotation(config)
    return (1.0, *scaled_frequencies(config.rotary_size, config.rope_local_theta, None).tolist())


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=_CLOSE)
    return one == other


def _shown(value: Any) -> str:
    return "" if isinstance(value, tuple) else f"= {value}"
