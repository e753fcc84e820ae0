"""How weights begin."""

import math
from typing import TypeVar

import torch
from torch import nn

from groundup.model.config import ModelConfig
from groundup.model.language_model import LanguageModel

TABLES = ("embedding.weight", "head.weight", "position.weight")
"""Weights that are looked up, or that make logits: as large at any width."""

_Model = TypeVar("_Model", bound=LanguageModel)


@torch.no_grad()
def initialize(model: _Model, seed: int) -> _Model:
    """Fill the weights, as a function of the seed and the shapes alone. Returns the model.

    Embeddings, positions and head: normal, standard deviation `init_std`. Matrices: normal, as `init` says; those
    that write to the residual stream are then set to zero, or scaled by 1/sqrt(2 · layers) (Radford et al. 2019;
    not for "normal"). Norms: one. Biases and sinks: zero.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2:
            parameter.fill_(1.0 if name.endswith("norm.weight") else 0.0)
        else:
            # Drawn on the CPU so that every device begins from the same weights.
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * _std(name, parameter, model.config))
    for parameter in model.outputs:
        parameter.mul_(_output_scale(model.config))
    return model


def _std(name: str, parameter: nn.Parameter, config: ModelConfig) -> float:
    if name in TABLES:
        return config.init_std
    if config.init == "fan-in":
        return 1 / math.sqrt(parameter.shape[-1])
    # Yang et al. 2022, table 8: beyond the base width, the variance falls as 1 / inputs.
    return config.init_std * math.sqrt(config.mup_base_width / config.d_model if config.mup_base_width else 1.0)


def _output_scale(config: ModelConfig) -> float:
    if config.zero_init_output:
        return 0.0
    return 1.0 if config.init == "normal" else 1 / math.sqrt(2 * config.n_layers)
