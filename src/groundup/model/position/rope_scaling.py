"""Rotary frequencies for sequences longer than those of the training."""

import math

import torch
from torch import Tensor

from groundup.model.parts import RopeScaling


def scaled_frequencies(size: int, theta: float, scaling: RopeScaling | None) -> Tensor:
    """Radians a position for each of size / 2 pairs, fp64: theta^(-2i/size), changed as `scaling` says."""
    if scaling is None:
        return _frequencies(size, theta)
    if scaling.method == "linear":
        return _frequencies(size, theta) / scaling.factor
    if scaling.method == "ntk":
        return _frequencies(size, theta * scaling.factor ** (size / (size - 2)))
    return {"yarn": _yarn, "llama-3": _llama3}[scaling.method](size, theta, scaling)


def temperature(scaling: RopeScaling | None) -> float:
    """Factor of cosines and sines; its square multiplies attention logits (Peng et al. 2023, equation 22)."""
    if scaling is None or scaling.method != "yarn":
        return 1.0
    return scaling.temperature or 0.1 * math.log(scaling.factor) + 1.0


def _frequencies(size: int, theta: float) -> Tensor:
    return theta ** -(torch.arange(0, size, 2, dtype=torch.float64) / size)


def _yarn(size: int, theta: float, scaling: RopeScaling) -> Tensor:
    """Pairs that turn often stay, those that turn seldom are slowed, a ramp between (Peng et al. 2023, section 3.2)."""

    def pair_that_turns(times: float) -> float:
        return size * math.log(scaling.original_max_seq_len / (times * 2 * math.pi)) / (2 * math.log(theta))

    low, high = pair_that_turns(scaling.beta_fast), pair_that_turns(scaling.beta_slow)
    if scaling.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, size - 1)
    width = max(high - low, 0.001)
    slowed = ((torch.arange(size // 2, dtype=torch.float64) - low) / width).clamp(0, 1)
    frequencies = _frequencies(size, theta)
    return frequencies * (1 - slowed) + frequencies / scaling.factor * slowed


def _llama3(size: int, theta: float, scaling: RopeScaling) -> Tensor:
    """Short wavelengths stay, long ones are stretched, a ramp between (Meta 2024, Llama 3.1)."""
    frequencies = _frequencies(size, theta)
    turns = scaling.original_max_seq_len * frequencies / (2 * math.pi)
    kept = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    kept = kept.clamp(0, 1)
    return frequencies * kept + frequencies / scaling.factor * (1 - kept)
