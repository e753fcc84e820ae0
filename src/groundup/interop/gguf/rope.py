"""Rotary frequencies in GGUF: metadata and, for Llama 3, a tensor of factors."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from gguf.constants import Keys
from torch import Tensor

from groundup.core.errors import UserError
from groundup.interop.gguf.values import Values
from groundup.model.config import ModelConfig
from groundup.model.parts import RopeScaling
from groundup.model.position.rope_scaling import scaled_frequencies

FACTORS = "rope_freqs.weight"
"""What frequencies are divided by, one number for each pair."""

_OLD_FACTOR = "{arch}.rope.scale_linear"
_SAME = 1e-5  # of factors, relative: they are stored in fp32, made of frequencies in fp32


def read_rope(values: Values, size: int) -> dict[str, Any]:
    """`rope_theta` and `rope_scaling`. What llama.cpp does with each key: src/llama-model.cpp, llama-context.cpp."""
    theta = values.real(Keys.Rope.FREQ_BASE, 10_000.0)
    method = values.text(Keys.Rope.SCALING_TYPE, "linear")
    factor = values.real(Keys.Rope.SCALING_FACTOR, 0.0) or values.real(_OLD_FACTOR, 0.0)
    original = values.integer(Keys.Rope.SCALING_ORIG_CTX_LEN, values.integer(Keys.LLM.CONTEXT_LENGTH))
    temperature = values.real(Keys.Rope.SCALING_ATTN_FACTOR, 1.0)
    _check_yarn(values)
    if method not in ("none", "linear", "yarn"):
        raise values.refused(Keys.Rope.SCALING_TYPE, f"'{method}'; supported are none, linear and yarn")
    if temperature != 1 and method != "yarn":
        raise values.refused(Keys.Rope.SCALING_ATTN_FACTOR, f"{temperature} without yarn")
    scaling = None
    if method == "yarn" and factor > 1:
        warmth = 0.0 if temperature == 1 else temperature * (0.1 * math.log(factor) + 1)
        scaling = RopeScaling(method="yarn", factor=factor, original_max_seq_len=original, temperature=warmth)
    elif method == "linear" and factor not in (0, 1):
        scaling = RopeScaling(method="linear", factor=factor)
    factors = values.frequency_factors
    if factors is not None and bool((factors != 1).any()):
        if scaling:
            raise values.refused(Keys.Rope.SCALING_TYPE, f"'{method}' beside {FACTORS}")
        scaling = _llama3_of(factors, size, theta, values.source)
    return {"rope_theta": theta, "rope_scaling": scaling}


def write_rope(config: ModelConfig) -> dict[str, Any]:
    """The inverse of `read_rope`, but for the tensor: see `frequency_factors`."""
    scaling, theta = config.rope_scaling, config.rope_theta
    if scaling is None or scaling.method == "llama-3":
        return {Keys.Rope.FREQ_BASE: theta}
    if scaling.method == "ntk":
        size = config.rotary_size
        return {Keys.Rope.FREQ_BASE: theta * scaling.factor ** (size / (size - 2))}
    written = {
        Keys.Rope.FREQ_BASE: theta,
        Keys.Rope.SCALING_TYPE: scaling.method,
        Keys.Rope.SCALING_FACTOR: scaling.factor,
    }
    if scaling.method == "yarn":
        written[Keys.Rope.SCALING_ORIG_CTX_LEN] = scaling.original_max_seq_len
        if scaling.temperature:
            written[Keys.Rope.SCALING_ATTN_FACTOR] = scaling.temperature / (0.1 * math.log(scaling.factor) + 1)
    return written


def frequency_factors(config: ModelConfig) -> Tensor | None:
    """The tensor that Llama 3's scaling needs; None for any other."""
    if config.position != "rope" or config.rope_scaling is None or config.rope_scaling.method != "llama-3":
        return None
    return _factors(config.rotary_size, config.rope_theta, config.rope_scaling)


def _factors(size: int, theta: float, scaling: RopeScaling) -> Tensor:
    return (scaled_frequencies(size, theta, None) / scaled_frequencies(size, theta, scaling)).float()


def _check_yarn(values: Values) -> None:
    """llama.cpp does not read these keys for the architectures here: they must say what it does without them."""
    for key, used in (
        (Keys.Rope.SCALING_YARN_EXT_FACTOR, 1.0),
        (Keys.Rope.SCALING_YARN_ATTN_FACTOR, 1.0),
        (Keys.Rope.SCALING_YARN_BETA_FAST, 32.0),
        (Keys.Rope.SCALING_YARN_BETA_SLOW, 1.0),
    ):
        if (found := values.real(key, used)) != used:
            raise values.refused(key, f"{found}, which llama.cpp does not heed: it computes with {used}")


def _llama3_of(factors: Tensor, size: int, theta: float, source: str) -> RopeScaling:
    """Llama 3's scaling that gives exactly these factors. Raises UserError if none does."""
    if factors.shape == (size // 2,) and bool((factors >= 1).all()):
        for scaling in _llama3_candidates(factors.double(), size, theta):
            if torch.allclose(_factors(size, theta, scaling), factors, rtol=_SAME, atol=0):
                return scaling
    raise UserError(f"{source}: {FACTORS} holds factors that are not Llama 3's", "this rotary scaling is not supported")


def _llama3_candidates(factors: Tensor, size: int, theta: float) -> Iterator[RopeScaling]:
    """Fitted where enough pairs are between kept and stretched, else with Llama 3's own bounds.

    1 / f is kept + (1 - kept) / factor, where kept = (turns - low) / (high - low) grows linearly with the frequency.
    Original length, low and high matter by their ratios alone: low is taken as 1.
    """
    factor = float(str(factors.max().float().numpy()))
    kept = (1 / factors - 1 / factor) / (1 - 1 / factor)
    between = (kept > _SAME) & (kept < 1 - _SAME)
    if int(between.sum()) >= 2:
        frequencies = scaled_frequencies(size, theta, None)[between]
        line = torch.stack((frequencies, -torch.ones_like(frequencies)), 1)
        slope, start = torch.linalg.lstsq(line, kept[between]).solution.tolist()
        if slope > 0 and start > 0:
            high = round(1 + 1 / start, 4)
            original = round(2 * math.pi * slope * (high - 1))
            yield RopeScaling(
                method="llama-3", factor=factor, original_max_seq_len=max(original, 1), high_freq_factor=high
            )
    for power in range(4, 21):
        yield RopeScaling(method="llama-3", factor=factor, original_max_seq_len=1 << power)
