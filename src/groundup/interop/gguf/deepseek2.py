"""DeepSeek-V2 and V3. llama.cpp: src/models/deepseek2.cpp, and for the scale of attention src/llama-context.cpp.

Metadata describes attention as llama.cpp computes it, with one key/value head: the latent vector and the rotary key.
"""

import math
from collections.abc import Set
from typing import Any, Literal

from gguf.constants import ExpertGatingFuncType, Keys

from groundup.interop.gguf.architecture import Architecture, Written
from groundup.interop.gguf.rope import read_rope, write_rope
from groundup.interop.gguf.values import Values
from groundup.model.config import ModelConfig
from groundup.model.parts import LatentConfig, MoeConfig, RopeScaling

_LITE_LAYERS = (26, 27)
"""llama.cpp reads a model whose queries are not compressed only if it has so many layers."""

_GATES: dict[int, Literal["softmax", "sigmoid"]] = {
    ExpertGatingFuncType.SOFTMAX: "softmax",
    ExpertGatingFuncType.SIGMOID: "sigmoid",
}


def _read(values: Values, names: Set[str]) -> dict[str, Any]:
    latent = _read_latent(values)
    n_layers = values.integer(Keys.LLM.BLOCK_COUNT)
    dense_layers = values.integer(Keys.LLM.LEADING_DENSE_BLOCK_COUNT, 0)
    if values.integer(Keys.LLM.EXPERT_COUNT, 0) and dense_layers < n_layers:
        moe = _read_experts(values, dense_layers, has_bias=f"blk.{dense_layers}.exp_probs_b.bias" in names)
    else:
        moe = None
        values.integer(Keys.LLM.EXPERT_FEED_FORWARD_LENGTH, 0)  # which llama.cpp wants even so
        values.integer(Keys.LLM.EXPERT_SHARED_COUNT, 0)
    return {"latent": latent, "moe": moe, "rope_pairing": "interleaved", **_read_scaling(values, latent)}


def _read_latent(values: Values) -> LatentConfig:
    rank, rotary = values.integer(Keys.Attention.KV_LORA_RANK), values.integer(Keys.Rope.DIMENSION_COUNT)
    key, value = values.integer(Keys.Attention.KEY_LENGTH_MLA), values.integer(Keys.Attention.VALUE_LENGTH_MLA)
    for name, expected in (
        (Keys.Attention.KEY_LENGTH, rank + rotary),
        (Keys.Attention.VALUE_LENGTH, rank),
        (Keys.Attention.HEAD_COUNT_KV, 1),
    ):
        if (found := values.integer(name, expected)) != expected:
            raise values.refused(name, f"{found}, where latent attention has {expected}")
    if key <= rotary or min(rank, rotary - 1, value) < 1:
        raise values.refused(Keys.Attention.KEY_LENGTH_MLA, f"{key}, of which {rotary} turn")
    q_rank = values.integer(Keys.Attention.Q_LORA_RANK, 0)
    if not q_rank and values.integer(Keys.LLM.BLOCK_COUNT) not in _LITE_LAYERS:
        raise values.refused(
            Keys.Attention.Q_LORA_RANK, "none, which llama.cpp reads in models of 26 or 27 layers only"
        )
    return LatentConfig(kv_rank=rank, q_rank=q_rank, nope_head_dim=key - rotary, rope_head_dim=rotary, v_head_dim=value)


def _read_scaling(values: Values, latent: LatentConfig) -> dict[str, Any]:
    """Yarn's temperature, which rotates keys and queries in part only here, and the scale of attention.

    The multiplier m is stored as m / 10. With it, cosines keep their size, and logits are scaled by the square of
    1 + 0.1 m ln(factor); without it m is 1, and cosines are scaled as well.
    """
    fields = read_rope(values, latent.rope_head_dim)
    multiplier = values.real(Keys.Rope.SCALING_YARN_LOG_MUL, 0.0) * 10
    scaling: RopeScaling | None = fields["rope_scaling"]
    if scaling is None:
        return fields
    if scaling.method != "yarn" or scaling.temperature:
        raise values.refused(Keys.Rope.SCALING_TYPE, "other than plain yarn")
    growth = 1 + 0.1 * (multiplier or 1.0) * math.log(scaling.factor)
    return fields | {
        "rope_scaling": scaling.model_copy(update={"temperature": 1.0 if multiplier else growth}),
        "attention_scale": growth**2 * latent.qk_head_dim**-0.5,
    }


def _read_experts(values: Values, dense_layers: int, *, has_bias: bool) -> MoeConfig:
    gate = values.integer(Keys.LLM.EXPERT_GATING_FUNC, ExpertGatingFuncType.SOFTMAX)
    if gate not in _GATES:
        raise values.refused(Keys.LLM.EXPERT_GATING_FUNC, f"{gate}; supported are 1, softmax, and 2, sigmoid")
    groups = values.integer(Keys.LLM.EXPERT_GROUP_COUNT, 1)
    if groups > 1 and _GATES[gate] == "softmax":
        raise values.refused(
            Keys.LLM.EXPERT_GROUP_COUNT, f"{groups} with softmax: DeepSeek-V2 and llama.cpp choose groups differently"
        )
    if not (shared := values.integer(Keys.LLM.EXPERT_SHARED_COUNT)):
        raise values.refused(Keys.LLM.EXPERT_SHARED_COUNT, "0, which llama.cpp cannot read")
    return MoeConfig(
        n_experts=values.integer(Keys.LLM.EXPERT_COUNT),
        top_k=values.integer(Keys.LLM.EXPERT_USED_COUNT),
        d_expert=values.integer(Keys.LLM.EXPERT_FEED_FORWARD_LENGTH),
        n_shared=shared,
        dense_layers=dense_layers,
        scoring=_GATES[gate],
        normalize_top_k=values.flag(Keys.LLM.EXPERT_WEIGHTS_NORM, False),
        routed_scale=values.real(Keys.LLM.EXPERT_WEIGHTS_SCALE, 1.0),
        n_groups=max(groups, 1),
        top_groups=values.integer(Keys.LLM.EXPERT_GROUP_USED_COUNT, 1) if groups > 1 else 1,
        balance="bias" if has_bias else "none",
    )


def _write(config: ModelConfig) -> Written:
    if not (latent := config.latent):
        return {}
    moe = config.moe
    written = {
        Keys.Attention.HEAD_COUNT_KV: 1,
        Keys.Attention.KV_LORA_RANK: latent.kv_rank,
        Keys.Attention.KEY_LENGTH: latent.kv_rank + latent.rope_head_dim,
        Keys.Attention.VALUE_LENGTH: latent.kv_rank,
        Keys.Attention.KEY_LENGTH_MLA: latent.qk_head_dim,
        Keys.Attention.VALUE_LENGTH_MLA: latent.v_head_dim,
        Keys.Rope.DIMENSION_COUNT: latent.rope_head_dim,
        Keys.LLM.LEADING_DENSE_BLOCK_COUNT: moe.dense_layers if moe else config.n_layers,
        Keys.LLM.EXPERT_FEED_FORWARD_LENGTH: (moe.d_expert if moe else 0) or config.ff_width,
        Keys.LLM.EXPERT_SHARED_COUNT: moe.n_shared if moe else 0,
        **_write_scaling(config, latent),
    }
    if latent.q_rank:
        written[Keys.Attention.Q_LORA_RANK] = latent.q_rank
    return written | (_write_experts(moe) if moe else {})


def _write_scaling(config: ModelConfig, latent: LatentConfig) -> Written:
    scaling = config.rope_scaling
    if scaling is None or scaling.method != "yarn" or scaling.factor == 1:
        return write_rope(config)
    written = write_rope(config.model_copy(update={"rope_scaling": scaling.model_copy(update={"temperature": 0.0})}))
    if scaling.temperature == 1:
        growth = math.sqrt(config.score_scale * math.sqrt(latent.qk_head_dim))
        written[Keys.Rope.SCALING_YARN_LOG_MUL] = (growth - 1) / math.log(scaling.factor)
    return written


def _write_experts(moe: MoeConfig) -> Written:
    gates = {name: gate for gate, name in _GATES.items()}
    written: Written = {
        Keys.LLM.EXPERT_COUNT: moe.n_experts,
        Keys.LLM.EXPERT_USED_COUNT: moe.top_k,
        Keys.LLM.EXPERT_WEIGHTS_SCALE: moe.routed_scale,
        Keys.LLM.EXPERT_WEIGHTS_NORM: moe.normalize_top_k,
        Keys.LLM.EXPERT_GATING_FUNC: int(gates[moe.scoring]),
    }
    if moe.n_groups > 1:
        written |= {
            Keys.LLM.EXPERT_GROUP_COUNT: moe.n_groups,
            Keys.LLM.EXPERT_GROUP_USED_COUNT: moe.top_groups,
        }
    return written


DEEPSEEK2 = Architecture("deepseek2", _read, _write, pairing="interleaved")
