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
from groundup.model.parts import MoeConfig
from groundup.model.position.rope_scaling import scaled_frequencies, temperature
from groundup.model.store import weights

# Where two express a model, the first is taken: it is the one of whose family such models are.
ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (QWEN3, QWEN3_MOE, QWEN2, LLAMA, GEMMA2, GEMMA3, GPT2, DEEPSEEK2)
}

_CLOSE = 1e-6  # relative: numbers are stored in fp32
_NEAREST = 2
_SOURCE = "the model"
_UNREADABLE = 3  # an architecture that cannot take the model at all is as far as one that differs in so many ways

_PLAIN = (
    "kind", "n_layers", "d_model", "n_heads", "max_seq_len", "position", "latent", "feedforward", "norm", "norm_eps",
    "residual", "residual_scale", "embedding_scale", "logit_softcap", "tie_embeddings", "attention_softcap",
    "attention_bias", "attention_output_bias", "attention_sinks", "feedforward_bias",
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
    distances: dict[str, int] = {}
    for name, architecture in ARCHITECTURES.items():
        try:
            in_the_way[name] = _obstacles(config, own, architecture)
            distances[name] = len(in_the_way[name])
        except UserError as error:
            in_the_way[name], distances[name] = [error.message.removeprefix(f"{_SOURCE}: ")], _UNREADABLE
        if not in_the_way[name]:
            return architecture
    nearest = sorted(distances, key=lambda name: distances[name])[:_NEAREST]
    reasons = "; ".join(f"{name}: {', '.join(in_the_way[name])}" for name in nearest)
    raise UserError(f"no architecture of llama.cpp computes this model; in the way of {reasons}", "export it as hf")


def _obstacles(config: ModelConfig, own: dict[str, Tensor], architecture: Architecture) -> list[str]:
    """What of the config the architecture does not keep, in words; empty if it computes the same.

    Raises UserError if what would be written cannot be read.
    """
    wanted = _meaning(config)
    names = frozenset(name for name, _ in to_file(links_of(own, config, architecture), own))
    factors = frequency_factors(config) if architecture.has_factors else None
    values = Values(_SOURCE, architecture.name, architecture.metadata(config), factors)
    kept = _meaning(architecture.config(values, names))
    lost = [name for name, value in wanted.items() if name not in kept or not _same(value, kept[name])]
    wholes = [name for name in lost if "." not in name or name.partition(".")[0] not in lost]
    return [f"{name} {_shown(wanted[name])}".strip() for name in wholes]


def _meaning(config: ModelConfig) -> dict[str, Any]:
    """All of a config of a Transformer that decides what it computes, with defaults worked out.

    What has no effect is not in it; parts of a part are named after it, with a dot.
    """
    said = {name: getattr(config, name) for name in _PLAIN}
    said |= {"attention_scale": config.score_scale, "logit_scale": config.output_scale}
    if config.norm == "layernorm":
        said["norm_bias"] = config.norm_bias
    if any(not config.has_experts(layer) for layer in range(config.n_layers)):
        said["d_ff"] = config.ff_width
    if not config.latent:
        said |= {"n_kv_heads": config.kv_heads, "head_dim": config.head_size, "qk_norm": config.qk_norm}
    local = "".join("GL"[config.is_local(layer)] for layer in range(config.n_layers))
    has_window = "L" in local and (config.window or 0) < config.max_seq_len
    said["window"] = config.window if has_window else None
    if has_window:
        said["window_pattern"] = local
    if config.position == "rope":
        said["rope_theta and rope_scaling"] = _rotation(config)
        if has_window:
            said["rope_local_theta"] = _local_rotation(config)
        if config.latent:
            said["rope_pairing"] = config.rope_pairing  # elsewhere, rows are brought into the order that is wanted
        else:
            said["rope_fraction"] = config.rotary_size / config.head_size
    said["moe"] = config.moe is not None
    return said | (_meaning_of_experts(config.moe, config.ff_width) if config.moe else {})


def _meaning_of_experts(moe: MoeConfig, ff_width: int) -> dict[str, Any]:
    said = {f"moe.{name}": getattr(moe, name) for name in _EXPERTS} | {"moe.d_expert": moe.d_expert or ff_width}
    if moe.n_groups > 1:
        said["moe.top_groups"] = moe.top_groups
    return said | {"moe.balance by bias": moe.balance == "bias"}


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
