"""Gemma 2 and Gemma 3. Their norms are stored as factors, not, as elsewhere, as what is added to one.

llama.cpp: src/models/{gemma2,gemma3}.cpp.
"""

from collections.abc import Set
from typing import Any

from gguf.constants import Keys

from groundup.interop.gguf.architecture import Architecture, Written, read_attention, write_attention
from groundup.interop.gguf.values import Values
from groundup.model.config import ModelConfig

_GEMMA2_WINDOW, _GEMMA2_PERIOD = 4096, 2
_GEMMA3_PERIOD = 6
_LARGEST_LAYERS = {"gemma2": 46, "gemma3": 62}
"""Layers of the 27B models, by which llama.cpp knows that their attention has another scale."""


def _read_gemma(values: Values) -> dict[str, Any]:
    d_model, attention = values.integer(Keys.LLM.EMBEDDING_LENGTH), read_attention(values)
    n_heads = max(values.integer(Keys.Attention.HEAD_COUNT), 1)
    is_largest = values.integer(Keys.LLM.BLOCK_COUNT) == _LARGEST_LAYERS[values.arch]
    return {
        "feedforward": "geglu-tanh",
        "residual": "sandwich",
        "embedding_scale": d_model**0.5,
        "attention_scale": (d_model // n_heads) ** -0.5 if is_largest else 0.0,
        **attention,
    }


def _read_gemma2(values: Values, names: Set[str]) -> dict[str, Any]:
    caps = {
        "attention_softcap": _read_cap(values, Keys.LLM.ATTN_LOGIT_SOFTCAPPING, 50.0),
        "logit_softcap": _read_cap(values, Keys.LLM.FINAL_LOGIT_SOFTCAPPING, 30.0),
    }
    window = values.integer(Keys.Attention.SLIDING_WINDOW, _GEMMA2_WINDOW)
    return {"window": window, "window_pattern": _read_pattern(values, _GEMMA2_PERIOD)} | caps | _read_gemma(values)


def _read_cap(values: Values, key: str, default: float) -> float:
    if not (cap := values.real(key, default)):
        raise values.refused(key, "0, by which llama.cpp divides")
    return cap


def _read_gemma3(values: Values, names: Set[str]) -> dict[str, Any]:
    fields = _read_gemma(values) | {
        "qk_norm": True,
        "logit_softcap": values.real(Keys.LLM.FINAL_LOGIT_SOFTCAPPING, 0.0),
    }
    pattern = _read_pattern(values, _GEMMA3_PERIOD)
    local_theta = values.real(Keys.Rope.FREQ_BASE_SWA, 10_000.0)
    if window := values.integer(Keys.Attention.SLIDING_WINDOW, 0):
        fields |= {"window": window, "window_pattern": pattern, "rope_local_theta": local_theta}
    return fields


def _write_gemma(config: ModelConfig) -> Written:
    written = write_attention(config)
    if config.window:
        written[Keys.Attention.SLIDING_WINDOW] = config.window
    if config.logit_softcap:
        written[Keys.LLM.FINAL_LOGIT_SOFTCAPPING] = config.logit_softcap
    return written


def _write_gemma2(config: ModelConfig) -> Written:
    return _write_gemma(config) | {
        Keys.LLM.ATTN_LOGIT_SOFTCAPPING: config.attention_softcap,
        Keys.LLM.FINAL_LOGIT_SOFTCAPPING: config.logit_softcap,
    }


def _write_gemma3(config: ModelConfig) -> Written:
    local = {Keys.Rope.FREQ_BASE_SWA: config.rope_local_theta or config.rope_theta} if config.window else {}
    return _write_gemma(config) | local


def _read_pattern(values: Values, period: int) -> str:
    """One letter a layer, from a list, or of a period whose last layer is global.

    Written is none: llama.cpp of before 2026 does not read it, and takes the period of the family.
    """
    found = values.pattern(Keys.Attention.SLIDING_WINDOW_PATTERN, period)
    if isinstance(found, list):
        return "".join("L" if is_local else "G" for is_local in found)
    if found < 1:
        raise values.refused(Keys.Attention.SLIDING_WINDOW_PATTERN, str(found))
    return "L" * (found - 1) + "G"


GEMMA2 = Architecture("gemma2", _read_gemma2, _write_gemma2)
GEMMA3 = Architecture("gemma3", _read_gemma3, _write_gemma3)
