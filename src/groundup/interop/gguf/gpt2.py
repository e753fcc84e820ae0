"""GPT-2. llama.cpp: src/models/gpt2.cpp."""

from collections.abc import Set
from typing import Any

from gguf.constants import Keys

from groundup.interop.gguf.architecture import Architecture, Written
from groundup.interop.gguf.values import Values
from groundup.model.config import ModelConfig


def _read(values: Values, names: Set[str]) -> dict[str, Any]:
    n_heads = values.integer(Keys.Attention.HEAD_COUNT)
    if (kv_heads := values.integer(Keys.Attention.HEAD_COUNT_KV, n_heads)) != n_heads:
        raise values.refused(Keys.Attention.HEAD_COUNT_KV, f"{kv_heads}, not that of query heads")
    return {
        "position": "learned",
        "norm": "layernorm",
        "feedforward": "gelu-tanh",
        "attention_bias": True,
        "attention_output_bias": True,
        "feedforward_bias": True,
        "init": "gpt-2",
    }


def _write(config: ModelConfig) -> Written:
    return {Keys.Attention.HEAD_COUNT_KV: config.kv_heads}


GPT2 = Architecture("gpt2", _read, _write, joins_qkv=True, eps=Keys.Attention.LAYERNORM_EPS)
