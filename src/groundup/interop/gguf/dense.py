"""Llama, Mistral, Mixtral and SmolLM2 ("llama"), Qwen 2 and Qwen 3: one block, with and without small parts.

llama.cpp: src/models/{llama,qwen2,qwen3,qwen3moe}.cpp.
"""

from collections.abc import Set
from typing import Any

from gguf.constants import Keys

from groundup.interop.gguf.architecture import Architecture, Written, read_attention, write_attention
from groundup.interop.gguf.values import Values
from groundup.model.config import ModelConfig
from groundup.model.parts import MoeConfig


def _read_llama(values: Values, names: Set[str]) -> dict[str, Any]:
    experts = {}
    if values.integer(Keys.LLM.EXPERT_COUNT, 0):
        experts["moe"] = _read_experts(values, values.integer(Keys.LLM.FEED_FORWARD_LENGTH))
    elif values.integer(Keys.LLM.EXPERT_USED_COUNT, 0):
        raise values.refused(Keys.LLM.EXPERT_USED_COUNT, "set, without experts")
    if values.integer(Keys.Attention.SLIDING_WINDOW, 0):
        raise values.refused(Keys.Attention.SLIDING_WINDOW, "set, which llama.cpp does not heed in this architecture")
    return {
        "attention_bias": "blk.0.attn_q.bias" in names,
        "attention_output_bias": "blk.0.attn_output.bias" in names,
        "feedforward_bias": "blk.0.ffn_up.bias" in names,
        **experts,
        **read_attention(values),
    }


def _write_llama(config: ModelConfig) -> Written:
    width = {Keys.LLM.FEED_FORWARD_LENGTH: config.moe.d_expert or config.ff_width} if config.moe else {}
    return write_attention(config) | _write_experts(config) | width


def _read_qwen2(values: Values, names: Set[str]) -> dict[str, Any]:
    return {"attention_bias": True, **read_attention(values)}


def _read_qwen3(values: Values, names: Set[str]) -> dict[str, Any]:
    return {"qk_norm": True, **read_attention(values)}


def _read_qwen3moe(values: Values, names: Set[str]) -> dict[str, Any]:
    moe = _read_experts(values, values.integer(Keys.LLM.EXPERT_FEED_FORWARD_LENGTH))
    return {"qk_norm": True, "moe": moe, **read_attention(values)}


def _write_qwen3moe(config: ModelConfig) -> Written:
    width = {Keys.LLM.EXPERT_FEED_FORWARD_LENGTH: config.moe.d_expert or config.ff_width} if config.moe else {}
    return write_attention(config) | _write_experts(config) | width


def _read_experts(values: Values, width: int) -> MoeConfig:
    """Mixtral's rule: the best of a softmax over all, scaled to a sum of one."""
    return MoeConfig(
        n_experts=values.integer(Keys.LLM.EXPERT_COUNT),
        top_k=values.integer(Keys.LLM.EXPERT_USED_COUNT),
        d_expert=width,
        balance="none",
    )


def _write_experts(config: ModelConfig) -> Written:
    if not config.moe:
        return {}
    return {Keys.LLM.EXPERT_COUNT: config.moe.n_experts, Keys.LLM.EXPERT_USED_COUNT: config.moe.top_k}


LLAMA = Architecture("llama", _read_llama, _write_llama, pairing="interleaved", has_factors=True)
QWEN2 = Architecture("qwen2", _read_qwen2, write_attention)
QWEN3 = Architecture("qwen3", _read_qwen3, write_attention)
QWEN3_MOE = Architecture("qwen3moe", _read_qwen3moe, _write_qwen3moe)
